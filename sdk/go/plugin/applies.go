package plugin

import (
	"encoding/json"
	"fmt"

	"agentd.dev/sdk/go/toolv1"
)

// Applies says when a tool is worth asking, and how to ask it without a model. A tool without one is
// called only by models and people.
type Applies struct {
	wire *toolv1.Applicability
}

// FromStart says that a tool is worth asking from the start about the alerted object. arguments is
// JSON with the placeholders {kind} {namespace} {name} {cluster} {service} {start_time} {end_time}
// inside of strings.
func FromStart(arguments string) Applies {
	return Applies{&toolv1.Applicability{ArgumentsTemplateJson: arguments}}
}

// After says that a tool is worth asking about an object of one of kinds once one of signals was seen
// on it; a signal may end in `*`. arguments is as for FromStart.
func After(signals, kinds []string, arguments string) Applies {
	return Applies{&toolv1.Applicability{
		AfterSignals: signals, SubjectKinds: kinds, ArgumentsTemplateJson: arguments,
	}}
}

// ForAlerts limits it to types of alert, `*` at the end allowed.
func (a Applies) ForAlerts(types ...string) Applies {
	a.wire.AlertTypes = types
	return a
}

// Emits names the signals that the tool may emit then.
func (a Applies) Emits(signals ...string) Applies {
	a.wire.Emits = signals
	return a
}

func (a Applies) fault() error {
	var object map[string]any
	if err := json.Unmarshal([]byte(a.wire.GetArgumentsTemplateJson()), &object); err != nil {
		return fmt.Errorf("the template %q of its arguments is no JSON object: %w", a.wire.GetArgumentsTemplateJson(), err)
	}
	return nil
}
