// Package plugintest runs a plugin in a test: whole, with registration, lease and gRPC, against an
// agentd that is played, over connections in memory. Nothing listens on a port.
package plugintest

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"agentd.dev/sdk/go/internal/fake"
	"agentd.dev/sdk/go/plugin"
	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
)

// pipe is how much a connection in memory holds, in bytes.
const pipe = 1 << 20

// Kit is a running plugin.
type Kit struct {
	t      testing.TB
	agentd *fake.Agentd
	name   string
}

// New runs a plugin until the end of the test.
func New(t testing.TB, p *plugin.Plugin) *Kit {
	return start(t, p, plugin.Options{Mode: plugin.Direct})
}

// NewRelay is New for a plugin that parks slots instead of being dialled.
func NewRelay(t testing.TB, p *plugin.Plugin) *Kit {
	return start(t, p, plugin.Options{Mode: plugin.Relay})
}

func start(t testing.TB, p *plugin.Plugin, options plugin.Options) *Kit {
	t.Helper()
	toAgentd, toPlugin := bufconn.Listen(pipe), bufconn.Listen(pipe)
	options.Listener, options.DrainTimeout = toPlugin, time.Second
	options.DialAgentd = dialling(toAgentd)
	agentd := fake.New()
	agentd.DialPlugin = dialling(toPlugin)
	agentd.Serve(toAgentd)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx, options) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the plugin ended with: %v", err)
		}
		agentd.Stop()
	})
	registered := make(chan error, 1)
	go func() {
		_, err := agentd.Await(func(seen fake.Seen) bool { return len(seen.Registers) > 0 })
		registered <- err
	}()
	select {
	case err := <-registered:
		if err != nil {
			t.Fatalf("the plugin did not register: %v", err)
		}
	case err := <-ended:
		ended <- nil
		t.Fatalf("the plugin did not start: %v", err)
	}
	return &Kit{t: t, agentd: agentd, name: p.Catalog().GetPlugin()}
}

func dialling(to *bufconn.Listener) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) { return to.DialContext(ctx) }
}

// Outcome is how a call ended.
type Outcome struct {
	// Failure is nothing when the call succeeded.
	Failure *toolv1.Failure
	// Result has everything of the result, put together again when it came in pieces.
	Result *toolv1.CallResult
	// Updates are all that came, in order.
	Updates []*toolv1.CallResponse
}

// Read reads the structured result into v.
func (o Outcome) Read(v any) error { return json.Unmarshal([]byte(o.Result.GetResultJson()), v) }

// Signals names the signals of all observations, in order.
func (o Outcome) Signals() []string {
	var signals []string
	for _, observation := range o.Result.GetObservations() {
		signals = append(signals, observation.GetSignal())
	}
	return signals
}

// Change sets something of the request before it is sent.
type Change func(*toolv1.CallRequest)

// DryRun asks to describe and not to act.
func DryRun(request *toolv1.CallRequest) { request.Mode = toolv1.CallMode_CALL_MODE_DRY_RUN }

// Key sets the idempotency key.
func Key(key string) Change {
	return func(request *toolv1.CallRequest) { request.IdempotencyKey = key }
}

// Within sets the time allowed.
func Within(timeout time.Duration) Change {
	return func(request *toolv1.CallRequest) { request.Limits.Timeout = durationpb.New(timeout) }
}

// Request gives one call of a tool, to be acted on.
func (k *Kit) Request(tool, arguments string, changes ...Change) *toolv1.CallRequest {
	request := &toolv1.CallRequest{
		CallId: "call", Tool: &toolv1.ToolRef{Plugin: k.name, Tool: tool}, ArgumentsJson: arguments,
		Mode: toolv1.CallMode_CALL_MODE_EXECUTE, Attempt: 1, Limits: &toolv1.CallLimits{},
	}
	for _, change := range changes {
		change(request)
	}
	return request
}

// Call calls a tool and waits for the end; a breach of the rules of the stream fails the test. It may
// be used from several goroutines.
func (k *Kit) Call(tool, arguments string, changes ...Change) Outcome {
	k.t.Helper()
	exchange, err := k.agentd.Begin(context.Background(), k.Request(tool, arguments, changes...))
	if err != nil {
		k.t.Errorf("the call could not be sent: %v", err)
		return Outcome{}
	}
	return k.outcome(exchange)
}

func (k *Kit) outcome(exchange *fake.Exchange) Outcome {
	k.t.Helper()
	updates, err := exchange.All()
	if err != nil {
		k.t.Errorf("the call ended with: %v", err)
	}
	outcome, fault := Join(updates)
	if fault != "" {
		k.t.Errorf("a rule of the stream is broken: %s", fault)
	}
	return outcome
}

// Join puts the updates of one call together, and names the rule that they break, if any.
func Join(updates []*toolv1.CallResponse) (Outcome, string) {
	outcome := Outcome{Updates: updates}
	var text strings.Builder
	facts := &toolv1.ResultFacts{}
	accepted, done := 0, 0.0
	for n, update := range updates {
		if int(update.GetSequence()) != n+1 {
			return outcome, "sequence is not 1, 2, 3"
		}
		switch what := update.GetUpdate().(type) {
		case *toolv1.CallResponse_Accepted:
			accepted++
		case *toolv1.CallResponse_Progress:
			if accepted > 0 && what.Progress.GetDone() <= done && done != 0 {
				return outcome, "progress does not grow"
			}
			done = what.Progress.GetDone()
		case *toolv1.CallResponse_Chunk:
			text.WriteString(what.Chunk.GetJsonFragment())
		case *toolv1.CallResponse_Facts:
			facts.Observations = append(facts.Observations, what.Facts.GetObservations()...)
			facts.Relations = append(facts.Relations, what.Facts.GetRelations()...)
		case *toolv1.CallResponse_Result:
			outcome.Result = what.Result
		case *toolv1.CallResponse_Failure:
			outcome.Failure = what.Failure
		}
		isLast := update.GetResult() != nil || update.GetFailure() != nil
		if isLast != (n == len(updates)-1) {
			return outcome, "not exactly one last update, at the end"
		}
	}
	switch {
	case len(updates) == 0:
		return outcome, "there is no update"
	case accepted > 1 || accepted == 0 && outcome.Failure == nil:
		return outcome, "not one accepted"
	}
	if outcome.Result != nil {
		outcome.Result.ResultJson += text.String()
		outcome.Result.Observations = append(facts.Observations, outcome.Result.GetObservations()...)
		outcome.Result.Relations = append(facts.Relations, outcome.Result.GetRelations()...)
	}
	return outcome, ""
}
