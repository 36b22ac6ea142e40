package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	// Apache-2.0. Compiles and checks JSON Schema 2020-12 and, unlike the package that makes the
	// schemas, tells each fault apart with the place it is at; takes numbers of any size.
	checked "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	// MIT. Makes JSON Schema from Go types; kept by Google for MCP's Go SDK.
	"github.com/google/jsonschema-go/jsonschema"
)

// maxExponent bounds numbers such as 1e999999999, which are a few bytes to send and gigabytes to
// compare.
const maxExponent = 400

// form is what arguments are checked against before they are read into the author's type.
type form struct {
	schema *checked.Schema
	// names of the arguments, in the schema's order.
	names []string
	// sensitive arguments are not repeated in a failure.
	sensitive []string
}

// schemaOf gives the schema of the arguments A: a closed object.
func schemaOf[A any]() (*jsonschema.Schema, error) {
	schema, err := jsonschema.For[A](nil)
	if err != nil {
		return nil, fmt.Errorf("its arguments have no JSON Schema: %w", err)
	}
	if schema.Type != "object" {
		return nil, errors.New("its arguments must be a struct")
	}
	schema.Schema = "https://json-schema.org/draft/2020-12/schema"
	return schema, nil
}

func newForm(schema *jsonschema.Schema, sensitive []string) (*form, string, error) {
	text, err := json.Marshal(schema)
	if err != nil {
		return nil, "", fmt.Errorf("its schema cannot be written: %w", err)
	}
	document, err := checked.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, "", fmt.Errorf("its schema cannot be read back: %w", err)
	}
	const place = "mem:///arguments"
	compiler := checked.NewCompiler()
	if err := compiler.AddResource(place, document); err != nil {
		return nil, "", fmt.Errorf("its schema cannot be used: %w", err)
	}
	compiled, err := compiler.Compile(place)
	if err != nil {
		return nil, "", fmt.Errorf("its schema is wrong: %w", err)
	}
	names := schema.PropertyOrder
	if len(names) == 0 {
		names = sortedKeys(schema.Properties)
	}
	return &form{compiled, names, sensitive}, string(text), nil
}

// check reads text (empty means no arguments) and tells every fault by its field. What it gives back
// is the text to read, and the same in a form that is equal for equal arguments.
func (f *form) check(text string) (arguments, canonical string, failure *Failure) {
	if len(text) > maxArguments {
		return "", "", InvalidArgument("arguments", "has %d bytes, at most %d are taken", len(text), maxArguments)
	}
	if strings.TrimSpace(text) == "" {
		text = "{}"
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	// As numbers, integers above 2^53 would change.
	decoder.UseNumber()
	var read any
	if err := decoder.Decode(&read); err != nil {
		return "", "", InvalidArgument("arguments", "is not JSON: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", "", InvalidArgument("arguments", "is not one JSON object: something follows it")
	}
	if _, isObject := read.(map[string]any); !isObject {
		return "", "", InvalidArgument("arguments", "must be a JSON object")
	}
	if violations := oversized("arguments", read); len(violations) > 0 {
		return "", "", invalid(violations)
	}
	var fault *checked.ValidationError
	if err := f.schema.Validate(read); errors.As(err, &fault) {
		return "", "", invalid(f.violations(fault))
	} else if err != nil {
		return "", "", InvalidArgument("arguments", "cannot be checked: %v", err)
	}
	same, err := json.Marshal(read)
	if err != nil {
		return "", "", InvalidArgument("arguments", "cannot be written again: %v", err)
	}
	return text, string(same), nil
}

// oversized finds numbers that nothing sensible has.
func oversized(path string, value any) []Violation {
	var found []Violation
	switch value := value.(type) {
	case map[string]any:
		for _, key := range sortedKeys(value) {
			found = append(found, oversized(path+"."+key, value[key])...)
		}
	case []any:
		for i, item := range value {
			found = append(found, oversized(fmt.Sprintf("%s[%d]", path, i), item)...)
		}
	case json.Number:
		_, exponent, has := strings.Cut(strings.ToLower(value.String()), "e")
		if size, err := strconv.Atoi(exponent); has && (err != nil || size > maxExponent || size < -maxExponent) {
			found = append(found, Violation{path, "is out of any range; give a number of ordinary size"})
		}
	}
	return found
}

// violations turns the faults found into one a field, those at the leaves.
func (f *form) violations(fault *checked.ValidationError) []Violation {
	if len(fault.Causes) > 0 {
		var all []Violation
		for _, cause := range fault.Causes {
			for _, violation := range f.violations(cause) {
				if !slices.Contains(all, violation) {
					all = append(all, violation)
				}
			}
		}
		return all
	}
	path := pathOf(fault.InstanceLocation)
	var found []Violation
	switch what := fault.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range what.Missing {
			found = append(found, Violation{path + "." + name, "is required"})
		}
	case *kind.AdditionalProperties:
		for _, name := range what.Properties {
			found = append(found, Violation{path + "." + name, f.unknown(len(fault.InstanceLocation) == 0)})
		}
	case *kind.FalseSchema:
		found = append(found, Violation{path, f.unknown(len(fault.InstanceLocation) == 1)})
	case *kind.Type:
		found = append(found, Violation{path, fmt.Sprintf("must be %s, not %s", strings.Join(what.Want, " or "), what.Got)})
	default:
		how := fault.ErrorKind.LocalizedString(message.NewPrinter(language.English))
		if len(fault.InstanceLocation) > 0 && slices.Contains(f.sensitive, fault.InstanceLocation[0]) {
			how = "has the wrong value"
		}
		found = append(found, Violation{path, how})
	}
	return found
}

func (f *form) unknown(isArgument bool) string {
	switch {
	case !isArgument:
		return "is not known"
	case len(f.names) == 0:
		return "is not known; this tool takes no arguments"
	default:
		return "is not known; known are " + strings.Join(f.names, ", ")
	}
}

func pathOf(location []string) string {
	path := "arguments"
	for _, step := range location {
		if _, err := strconv.Atoi(step); err == nil {
			path += "[" + step + "]"
		} else {
			path += "." + step
		}
	}
	return path
}

// read reads checked arguments into the author's type.
func read[A any](text string, sensitive []string) (A, *Failure) {
	var arguments A
	err := json.Unmarshal([]byte(text), &arguments)
	if err == nil {
		return arguments, nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		root, _, _ := strings.Cut(wrong.Field, ".")
		if slices.Contains(sensitive, root) {
			return arguments, InvalidArgument("arguments."+wrong.Field, "has the wrong value")
		}
		return arguments, InvalidArgument("arguments."+wrong.Field, "%s does not fit %s", wrong.Value, wrong.Type)
	}
	return arguments, InvalidArgument("arguments", "do not fit: %v", err)
}

// resultSchema gives the schema of results like v.
func resultSchema(v any) (string, error) {
	schema, err := jsonschema.ForType(reflect.TypeOf(v), nil)
	if err != nil {
		return "", fmt.Errorf("its result has no JSON Schema: %w", err)
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return "", fmt.Errorf("the schema of its result cannot be written: %w", err)
	}
	return string(text), nil
}
