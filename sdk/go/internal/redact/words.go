package redact

import (
	"slices"
	"strings"
	"unicode"
)

// Words that begin prose rather than being a value: `password: must be set`, `--token is gone`.
var prose = []string{
	"a", "an", "and", "are", "argument", "authentication", "cannot", "expired", "failed", "flag",
	"for", "has", "in", "incorrect", "invalid", "is", "must", "not", "of", "option", "or",
	"required", "requires", "the", "to", "was", "with", "wrong",
}

// Values that say there is none.
var absent = []string{
	"", "null", "nil", "none", "undefined", "empty", "true", "false", "missing", "unset", "unknown",
	Mask,
}

func isAbsent(value string) bool {
	if slices.ContainsFunc([]string{"${", "$(", "{{"}, func(open string) bool {
		return strings.HasPrefix(value, open)
	}) {
		inside := strings.TrimRight(value, "})")
		inside = inside[min(2, len(inside)):]
		if !has(inside, func(b byte) bool { return !isAlphanumeric(b) && !strings.ContainsRune("_. ", rune(b)) }) {
			return true
		}
	}
	hasWord := strings.ContainsFunc(value, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })
	return !hasWord || slices.ContainsFunc(absent, func(word string) bool { return strings.EqualFold(word, value) })
}

// isOpaque tells whether a word is hardly one of a language: it has digits, or is long and of mixed
// case.
func isOpaque(value string) bool {
	return len(value) >= 8 && has(value, isDigit) ||
		len(value) >= 12 && has(value, isUpper) && has(value, isLower)
}

// isObjectName tells whether it reads as the name of an object: lower case, parts of which most are
// words.
func isObjectName(value string) bool {
	if len(value) > 253 || has(value, func(b byte) bool {
		return !isLower(b) && !isDigit(b) && !strings.ContainsRune("-./", rune(b))
	}) {
		return false
	}
	words := 0
	for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune("-./", r) }) {
		if !has(part, func(b byte) bool { return !isLower(b) }) {
			words += len(part)
		}
	}
	return words*2 >= len(value)
}

// namesSecret tells whether key says that value is a secret. `secret` alone is also what names a
// Secret.
func namesSecret(key, value string) bool {
	found := keyShape.FindStringSubmatch(key)
	if found == nil {
		return false
	}
	isPath := strings.HasPrefix(value, "/") && strings.HasSuffix(strings.ToLower(key), "pwd")
	return !isAbsent(value) && !isPath && (found[1] != "" || !isObjectName(value))
}

func has(text string, test func(byte) bool) bool {
	for i := range len(text) {
		if test(text[i]) {
			return true
		}
	}
	return false
}

func isUpper(b byte) bool        { return 'A' <= b && b <= 'Z' }
func isLower(b byte) bool        { return 'a' <= b && b <= 'z' }
func isDigit(b byte) bool        { return '0' <= b && b <= '9' }
func isAlphanumeric(b byte) bool { return isUpper(b) || isLower(b) || isDigit(b) }
