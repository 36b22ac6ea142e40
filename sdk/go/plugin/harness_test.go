package plugin_test

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"agentd.dev/sdk/go/internal/fake"
	"agentd.dev/sdk/go/plugin"
	"agentd.dev/sdk/go/plugintest"
	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
)

// TestMain is also the main of the children that tests start.
func TestMain(m *testing.M) {
	switch os.Getenv("PLUGIN_TEST_CHILD") {
	case "":
		os.Exit(m.Run())
	default:
		probes().Main()
	}
}

// door is where agentd is found: the one behind it may be another after a restart.
type door struct {
	mu    sync.Mutex
	to    *bufconn.Listener
	dials atomic.Int32
}

func (d *door) open(agentd *fake.Agentd) {
	to := bufconn.Listen(1 << 20)
	agentd.Serve(to)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = to
}

func (d *door) dial(ctx context.Context, _ string) (net.Conn, error) {
	d.dials.Add(1)
	d.mu.Lock()
	to := d.to
	d.mu.Unlock()
	if to == nil {
		return nil, net.ErrClosed
	}
	return to.DialContext(ctx)
}

// running is a plugin beside its fake agentd.
type running struct {
	t       *testing.T
	agentd  *fake.Agentd
	door    *door
	stop    context.CancelFunc
	ended   chan error
	options plugin.Options
}

// begin runs a plugin; it ends with the test, unless the test waits for its end before.
func begin(t *testing.T, p *plugin.Plugin, agentd *fake.Agentd, options plugin.Options) *running {
	t.Helper()
	r := &running{t: t, agentd: agentd, door: &door{}, ended: make(chan error, 1)}
	toPlugin := bufconn.Listen(1 << 20)
	agentd.DialPlugin = func(ctx context.Context, _ string) (net.Conn, error) { return toPlugin.DialContext(ctx) }
	r.door.open(agentd)
	options.DialAgentd = r.door.dial
	if options.Mode != plugin.Relay {
		options.Listener = toPlugin
	}
	if options.DrainTimeout == 0 {
		options.DrainTimeout = time.Second
	}
	r.options = options
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() { r.ended <- p.Serve(ctx, options) }()
	t.Cleanup(func() {
		r.stop()
		select {
		case <-r.ended:
		case <-time.After(fake.Patience):
			t.Error("the plugin did not end")
		}
		r.agentd.Stop()
	})
	return r
}

// await waits until what the fake saw fits.
func (r *running) await(fits func(fake.Seen) bool) fake.Seen {
	r.t.Helper()
	seen, err := r.agentd.Await(fits)
	if err != nil {
		r.t.Fatal(err)
	}
	return seen
}

func registered(times int) func(fake.Seen) bool {
	return func(seen fake.Seen) bool { return len(seen.Registers) >= times }
}

// end waits for the plugin to end and gives how.
func (r *running) end() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(fake.Patience):
		r.t.Fatal("the plugin did not end")
		return nil
	}
}

func (r *running) call(tool, arguments string, changes ...plugintest.Change) *fake.Exchange {
	r.t.Helper()
	exchange, err := r.agentd.Begin(context.Background(), request(tool, arguments, changes...))
	if err != nil {
		r.t.Fatal(err)
	}
	return exchange
}

func (r *running) outcome(exchange *fake.Exchange) plugintest.Outcome {
	r.t.Helper()
	updates, err := exchange.All()
	if err != nil {
		r.t.Fatalf("the call ended with %v", err)
	}
	outcome, fault := plugintest.Join(updates)
	if fault != "" {
		r.t.Fatalf("%s: %v", fault, updates)
	}
	return outcome
}

// next waits for one update.
func (r *running) next(exchange *fake.Exchange) *toolv1.CallResponse {
	r.t.Helper()
	select {
	case update := <-exchange.Updates:
		return update
	case <-time.After(fake.Patience):
		r.t.Fatal("no update came")
		return nil
	}
}

func request(tool, arguments string, changes ...plugintest.Change) *toolv1.CallRequest {
	request := &toolv1.CallRequest{
		CallId: "c-1", Tool: &toolv1.ToolRef{Plugin: "probes", Tool: tool}, ArgumentsJson: arguments,
		Mode: toolv1.CallMode_CALL_MODE_EXECUTE, Limits: &toolv1.CallLimits{Timeout: durationpb.New(fake.Patience)},
	}
	for _, change := range changes {
		change(request)
	}
	return request
}

// inBothModes runs a test of the same calls over both ways.
func inBothModes(t *testing.T, p func() *plugin.Plugin, test func(t *testing.T, r *running)) {
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			r := begin(t, p(), fake.New(), plugin.Options{Mode: mode})
			r.await(registered(1))
			test(t, r)
		})
	}
}

// within waits for a channel to be closed or to give something.
func within[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(fake.Patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}
