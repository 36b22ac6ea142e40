package redact

import (
	"bytes"
	"encoding/json"
	"strings"
)

// JSON masks the strings of a JSON text, each by itself and by the key it stands under. All other
// bytes stay as they are, so that numbers keep their digits.
func JSON(text string) string {
	var out strings.Builder
	out.Grow(len(text))
	// {"name": "DB_PASSWORD", "value": …}: the name stands beside the value instead of before it.
	key, named := "", ""
	rest := text
	for {
		start := strings.IndexByte(rest, '"')
		if start < 0 {
			break
		}
		end := start + stringEnd(rest[start:])
		out.WriteString(rest[:start])
		token := rest[start:end]
		rest = rest[end:]
		isKey := strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), ":")
		var read string
		if json.Unmarshal([]byte(token), &read) != nil {
			// Not JSON after all: the text as such is still masked.
			out.WriteString(Text(token))
			continue
		}
		masked := ""
		switch {
		case isKey:
			masked = Text(read)
		case key == "value" && named != "":
			masked = Value(named, read)
		default:
			masked = Value(key, read)
		}
		if masked == read {
			out.WriteString(token)
		} else {
			out.WriteString(quoted(masked))
		}
		switch {
		case isKey:
			key = read
		case key == "name" || key == "key":
			named = read
		case key == "value":
			named = ""
		}
	}
	out.WriteString(rest)
	return out.String()
}

// stringEnd tells where the JSON string that text begins with ends, in bytes.
func stringEnd(text string) int {
	escaped := false
	for at := 1; at < len(text); at++ {
		switch {
		case text[at] == '"' && !escaped:
			return at + 1
		case text[at] == '\\':
			escaped = !escaped
		default:
			escaped = false
		}
	}
	return len(text)
}

func quoted(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	// A string always encodes.
	_ = encoder.Encode(text)
	return strings.TrimSuffix(out.String(), "\n")
}
