package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"agentd.dev/sdk/go/plugin"
	"github.com/google/jsonschema-go/jsonschema"
)

type nothing struct{}

type echoed struct {
	Text   string   `json:"text" jsonschema:"Comes back."`
	Number int64    `json:"number,omitempty"`
	Small  uint8    `json:"small,omitempty"`
	Kind   string   `json:"kind,omitempty"`
	Nested []nested `json:"nested,omitempty"`
	Pin    string   `json:"pin,omitempty"`
}

type nested struct {
	Port int `json:"port"`
}

type sized struct {
	Bytes int `json:"bytes,omitempty"`
	Facts int `json:"facts,omitempty"`
}

type unwritable struct{}

func (unwritable) MarshalJSON() ([]byte, error) { panic("cannot be written, password=hunter2") }

// probes is a plugin with a tool for each way to behave.
func probes() *plugin.Plugin {
	p := plugin.New("probes", "1.0.0").Title("Probes").Signal("seen", "something was seen", plugin.Neutral)
	plugin.ReadOnly(p, "echo", "Gives its arguments back.", func(_ context.Context, call *plugin.Call, args echoed) (*plugin.Output, error) {
		return &plugin.Output{Result: args, Summary: call.Trace.Parent + " " + call.Asker.Principal}, nil
	}).Narrow(func(schema *jsonschema.Schema) {
		schema.Properties["kind"].Enum = []any{"a", "b"}
		schema.Properties["pin"].Pattern = "^[0-9]+$"
	}).Sensitive("pin").Applies(plugin.FromStart(`{"text":"{service}"}`).Emits("probes.seen"))
	plugin.ReadOnly(p, "wait", "Waits to be withdrawn.", func(ctx context.Context, call *plugin.Call, _ nothing) (*plugin.Output, error) {
		call.Log(plugin.Info, "begun")
		<-ctx.Done()
		return nil, fmt.Errorf("cut off: %w", ctx.Err())
	})
	plugin.ReadOnly(p, "sleep", "Takes a moment.", func(ctx context.Context, call *plugin.Call, _ nothing) (*plugin.Output, error) {
		call.Log(plugin.Info, "begun")
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(300 * time.Millisecond):
			return &plugin.Output{Summary: "slept"}, nil
		}
	})
	plugin.ReadOnly(p, "large", "Gives as much as asked for.", func(_ context.Context, _ *plugin.Call, args sized) (*plugin.Output, error) {
		output := &plugin.Output{Result: strings.Repeat("ä🙂\x01\"", args.Bytes/10)}
		for n := range args.Facts {
			output.Observations = append(output.Observations, plugin.Observation{
				Signal: "probes.seen", Subject: plugin.Object("Pod", "shop", fmt.Sprint("p-", n)), Statement: strings.Repeat("x", 1500),
				Value: new(float64(n)),
			})
		}
		return output, nil
	})
	plugin.ReadOnly(p, "fail", "Fails in the way asked for.", func(_ context.Context, call *plugin.Call, args echoed) (*plugin.Output, error) {
		switch args.Text {
		case "panic":
			panic("token=abcdef went wrong")
		case "exit":
			runtime.Goexit()
		case "write":
			return &plugin.Output{Result: unwritable{}}, nil
		case "missing":
			return nil, fmt.Errorf("looking it up: %w", plugin.NotFound("queue orders"))
		case "external":
			return nil, plugin.External("rabbitmq", "UNREACHABLE", "password=hunter2 %s", strings.Repeat("é", 5000))
		}
		return nil, errors.New("odd")
	})
	plugin.ReadOnly(p, "secrets", "Says secrets everywhere.", func(_ context.Context, call *plugin.Call, _ nothing) (*plugin.Output, error) {
		call.Log(plugin.Warn, "password=hunter2")
		call.Progress(1, 2, "password=hunter2 \xff")
		return &plugin.Output{
			Result: map[string]any{"password": "hunter2", "bad": "\xff\xfe"}, Summary: "password=hunter2 \xff",
			Gaps:  []plugin.Gap{{Subject: "password=hunter2", Why: errors.New("password=hunter2")}},
			Links: []plugin.Link{{Title: "password=hunter2", URI: "https://bob:hunter2@example.com/?token=hunter2"}},
			Observations: []plugin.Observation{{
				Signal: "probes.seen", Subject: plugin.Outside("h\xff"), Statement: "password=hunter2 \xff", Quote: "password=hunter2",
				Attributes: map[string]string{"db_password": "hunter2", "note": "password=hunter2\xff"},
			}},
			PlannedEffects: []string{"password=hunter2"},
		}, nil
	})
	plugin.ReadOnly(p, "progress", "Tells progress faster than allowed.", func(_ context.Context, call *plugin.Call, _ nothing) (*plugin.Output, error) {
		for n := range 1000 {
			call.Progress(float64(n), 1000, "on")
			call.Progress(0, 0, "back")
		}
		return nil, nil
	})
	return p
}
