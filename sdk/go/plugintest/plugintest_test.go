package plugintest_test

import (
	"context"
	"fmt"
	"testing"

	"agentd.dev/sdk/go/plugin"
	"agentd.dev/sdk/go/plugintest"
)

type queueArgs struct {
	Queue string `json:"queue" jsonschema:"Name of the queue."`
}

// queues is the smallest plugin of the README.
func queues() *plugin.Plugin {
	p := plugin.New("queues", "1.0.0").Signal("backlog", "messages wait; value = how many", plugin.Harm)
	plugin.ReadOnly(p, "check_queue", "Tells how many messages wait in a queue.",
		func(_ context.Context, _ *plugin.Call, args queueArgs) (*plugin.Output, error) {
			if args.Queue != "orders" {
				return nil, plugin.NotFound("queue " + args.Queue)
			}
			return &plugin.Output{
				Result: map[string]int{"waiting": 7},
				Observations: []plugin.Observation{{
					Signal: "queues.backlog", Subject: plugin.Object("Queue", "", args.Queue),
					Statement: fmt.Sprintf("%d messages wait in %s", 7, args.Queue), Value: new(7.0),
				}},
			}, nil
		}).Applies(plugin.FromStart(`{"queue":"{service}"}`).Emits("queues.backlog"))
	return p
}

func TestTheSmallestPluginOfTheReadmeWorksBothWays(t *testing.T) {
	for way, kit := range map[string]*plugintest.Kit{"direct": plugintest.New(t, queues()), "relay": plugintest.NewRelay(t, queues())} {
		outcome := kit.Call("check_queue", `{"queue":"orders"}`)
		var read struct{ Waiting int }
		if err := outcome.Read(&read); err != nil || read.Waiting != 7 || len(outcome.Signals()) != 1 || outcome.Signals()[0] != "queues.backlog" {
			t.Errorf("%s: %v, %v", way, outcome.Updates, err)
		}
		if missing := kit.Call("check_queue", `{"queue":"refunds"}`).Failure; missing.GetResource() != "queue refunds" {
			t.Errorf("%s: %v", way, missing)
		}
		if wrong := kit.Call("check_queue", `{"qeue":"orders"}`).Failure; len(wrong.GetViolations()) != 2 {
			t.Errorf("%s: %v", way, wrong)
		}
	}
}

func TestJoinNamesTheRuleThatAStreamBreaks(t *testing.T) {
	good := plugintest.New(t, queues()).Call("check_queue", `{"queue":"orders"}`).Updates
	if _, fault := plugintest.Join(good); fault != "" {
		t.Errorf("a good stream: %s", fault)
	}
	if _, fault := plugintest.Join(good[:1]); fault == "" {
		t.Error("a stream without its last update passes")
	}
	if _, fault := plugintest.Join(good[1:]); fault == "" {
		t.Error("a stream that does not begin with 1 passes")
	}
	if _, fault := plugintest.Join(nil); fault == "" {
		t.Error("an empty stream passes")
	}
}
