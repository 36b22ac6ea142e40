package plugin_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"agentd.dev/sdk/go/internal/fake"
	"agentd.dev/sdk/go/plugin"
	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// brisk is a fake whose leases are renewed every 50 ms.
func brisk() *fake.Agentd {
	agentd := fake.New()
	agentd.Renewal = 50 * time.Millisecond
	return agentd
}

func TestALeaseIsRenewedAlsoWhileCallsRun(t *testing.T) {
	r := begin(t, probes(), brisk(), plugin.Options{})
	r.await(registered(1))
	exchange := r.call("wait", "")
	r.next(exchange)
	seen := r.await(func(seen fake.Seen) bool {
		n := len(seen.Renews)
		return n >= 3 && seen.Renews[n-1].GetCallsInFlight() == 1
	})
	if renew := seen.Renews[len(seen.Renews)-1]; renew.GetCatalogDigest() != "sha256:catalog" || renew.GetState() != toolv1.InstanceState_INSTANCE_STATE_READY {
		t.Errorf("renewed with %v", renew)
	}
	exchange.Cancel()
	_, _ = exchange.All()
	r.await(func(seen fake.Seen) bool { return seen.Renews[len(seen.Renews)-1].GetCallsInFlight() == 0 })
}

func TestALeaseThatAgentdForgotIsTakenAnew(t *testing.T) {
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		r := begin(t, probes(), brisk(), plugin.Options{Mode: mode, Slots: 2})
		r.await(func(seen fake.Seen) bool { return len(seen.Renews) > 0 })
		r.agentd.Forget()
		seen := r.await(registered(2))
		if a, b := seen.Registers[0], seen.Registers[1]; a.GetInstanceId() != b.GetInstanceId() || len(b.GetCatalog().GetTools()) == 0 {
			t.Errorf("registered as %v, then %v", a, b)
		}
		if outcome := r.outcome(r.call("echo", `{"text":"x"}`)); outcome.Failure != nil {
			t.Errorf("%s: afterwards: %v", mode, outcome.Failure)
		}
	}
}

func TestAnAgentdThatComesBackEmptyIsFound(t *testing.T) {
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		r := begin(t, probes(), brisk(), plugin.Options{Mode: mode, Slots: 2})
		r.await(func(seen fake.Seen) bool { return len(seen.Renews) > 0 })
		dialPlugin := r.agentd.DialPlugin
		r.agentd.Stop()
		r.agentd = brisk()
		r.agentd.DialPlugin = dialPlugin
		r.door.open(r.agentd)
		r.await(registered(1))
		if outcome := r.outcome(r.call("echo", `{"text":"x"}`)); outcome.Failure != nil {
			t.Errorf("%s: afterwards: %v", mode, outcome.Failure)
		}
	}
}

func TestAnAgentdThatIsAwayIsAskedAgainOnNewConnections(t *testing.T) {
	agentd := fake.New()
	agentd.OnRegister = func(n int, _ *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error) {
		if n <= 4 {
			return nil, status.Error(codes.Unavailable, "away")
		}
		return nil, nil
	}
	r := begin(t, probes(), agentd, plugin.Options{})
	seen := r.await(registered(1))
	if len(seen.Tried) != 5 {
		t.Errorf("asked %d times", len(seen.Tried))
	}
	for n := range len(seen.Tried) - 1 {
		if gap := seen.Tried[n+1].Sub(seen.Tried[n]); gap < 15*time.Millisecond {
			t.Errorf("only %v between two tries", gap)
		}
	}
	// The first, and one after each two failures.
	if dials := r.door.dials.Load(); dials < 3 {
		t.Errorf("dialled %d times", dials)
	}
}

func TestAnAgentdThatSaysNoEndsThePluginAtOnce(t *testing.T) {
	rejected := func(_ int, request *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error) {
		response := &toolv1.RegisterResponse{LeaseId: "l"}
		for _, tool := range request.GetCatalog().GetTools() {
			response.Verdicts = append(response.Verdicts, &toolv1.ToolVerdict{
				Tool: &toolv1.ToolRef{Tool: tool.GetName()}, Rejection: &toolv1.Failure{Reason: "NAME", Message: "too long"},
			})
		}
		return response, nil
	}
	denied := func(int, *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error) {
		return nil, status.Error(codes.PermissionDenied, "not your name")
	}
	other := func(int, *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error) {
		return &toolv1.RegisterResponse{LeaseId: "l", Protocol: 3}, nil
	}
	for says, answer := range map[string]func(int, *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error){
		"AGENTD_PLUGIN_TOKEN": denied, "revision 3": other, "echo: NAME too long": rejected,
	} {
		agentd := fake.New()
		agentd.OnRegister = answer
		r := begin(t, probes(), agentd, plugin.Options{})
		err := r.end()
		var refused *plugin.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: ended with %v", says, err)
		}
		seen := r.await(func(fake.Seen) bool { return true })
		if len(seen.Tried) != 1 {
			t.Errorf("%s: tried %d times", says, len(seen.Tried))
		}
		// Who holds a lease gives it back, also one that is of no use to it.
		given := 1
		if says == "AGENTD_PLUGIN_TOKEN" {
			given = 0
		}
		if len(seen.Deregisters) != given {
			t.Errorf("%s: gave %d of %d leases back", says, len(seen.Deregisters), given)
		}
	}
}

func TestThePluginGoesOnWithTheToolsThatWereAccepted(t *testing.T) {
	agentd := fake.New()
	agentd.OnRegister = func(_ int, request *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error) {
		return &toolv1.RegisterResponse{LeaseId: "l", Verdicts: []*toolv1.ToolVerdict{
			{Tool: &toolv1.ToolRef{Tool: "wait"}, Rejection: &toolv1.Failure{Reason: "X"}},
			{Tool: &toolv1.ToolRef{Tool: "echo"}, Accepted: true},
		}, RenewInterval: durationpb.New(20 * time.Millisecond)}, nil
	}
	r := begin(t, probes(), agentd, plugin.Options{})
	r.await(func(seen fake.Seen) bool { return len(seen.Renews) > 0 })
}

func TestADirectiveIsFollowed(t *testing.T) {
	for directive, follows := range map[toolv1.InstanceDirective]func(*running){
		toolv1.InstanceDirective_INSTANCE_DIRECTIVE_STOP: func(r *running) {
			if err := r.end(); err != nil {
				t.Errorf("stopped with %v", err)
			}
			seen := r.await(func(seen fake.Seen) bool { return len(seen.Deregisters) == 1 })
			if order := strings.Join(seen.Order, " "); !strings.HasSuffix(order, "draining deregister") {
				t.Errorf("left in the order %s", order)
			}
		},
		toolv1.InstanceDirective_INSTANCE_DIRECTIVE_REREGISTER: func(r *running) {
			if seen := r.await(registered(2)); len(seen.Registers[1].GetCatalog().GetTools()) == 0 {
				t.Error("registered again without the catalog")
			}
		},
	} {
		agentd := brisk()
		agentd.OnRenew = func(n int, _ *toolv1.RenewRequest) (*toolv1.RenewResponse, error) {
			if n == 1 {
				return &toolv1.RenewResponse{Directive: directive}, nil
			}
			return nil, nil
		}
		follows(begin(t, probes(), agentd, plugin.Options{}))
	}
}

func TestALeaseThatRanOutByTheOwnClockIsNotBelievedIn(t *testing.T) {
	silent := make(chan struct{})
	var isSilent atomic.Bool
	agentd := brisk()
	agentd.TTL = 400 * time.Millisecond
	agentd.OnRenew = func(int, *toolv1.RenewRequest) (*toolv1.RenewResponse, error) {
		if isSilent.Load() {
			// An answer that comes too late.
			<-silent
			return nil, status.Error(codes.Unavailable, "late")
		}
		return nil, nil
	}
	agentd.OnRegister = func(n int, _ *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error) {
		if n > 1 {
			<-silent
		}
		return nil, nil
	}
	r := begin(t, probes(), agentd, plugin.Options{})
	r.await(func(seen fake.Seen) bool { return len(seen.Renews) > 0 })
	conn, err := r.agentd.Conn(insecureOption())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	watch, err := healthv1.NewHealthClient(conn).Watch(t.Context(), &healthv1.HealthCheckRequest{Service: "agentd.tool.v1.ToolService"})
	if err != nil {
		t.Fatal(err)
	}
	until := func(wanted healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for {
			told, err := watch.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if told.GetStatus() == wanted {
				return
			}
		}
	}
	until(healthv1.HealthCheckResponse_SERVING)
	isSilent.Store(true)
	until(healthv1.HealthCheckResponse_NOT_SERVING)
	isSilent.Store(false)
	close(silent)
	until(healthv1.HealthCheckResponse_SERVING)
	// While it drains it is not ready, either; the watch ends with it.
	r.stop()
	until(healthv1.HealthCheckResponse_NOT_SERVING)
	for err = nil; err == nil; {
		_, err = watch.Recv()
	}
	if err := r.end(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestTheRegistrationTokenIsShownAndNothingElseIsToldOfIt(t *testing.T) {
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		r := begin(t, probes(), fake.New(), plugin.Options{Mode: mode, Token: "registration-token"})
		seen := r.await(registered(1))
		if seen.Authorised != "Bearer registration-token" {
			t.Errorf("authorised by %q", seen.Authorised)
		}
		register := seen.Registers[0]
		if mode == plugin.Relay {
			if register.GetRelay().GetSlots() != 8 || register.GetMaxConcurrentCalls() != 8 || register.GetDirect() != nil {
				t.Errorf("registered as %v", register)
			}
		} else if len(register.GetDirect().GetCallerToken()) < 32 || register.GetDirect().GetEndpoint() == "" {
			t.Errorf("registered as %v", register.GetDirect())
		}
	}
}

func TestANewConnectionLooksTheNameUpAnew(t *testing.T) {
	// Nothing answers at first: dialling fails, as for an agentd that is not there yet.
	r := &running{t: t, agentd: fake.New(), door: &door{}, ended: make(chan error, 1)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		r.ended <- probes().Serve(ctx, plugin.Options{Mode: plugin.Relay, DialAgentd: func(ctx context.Context, a string) (net.Conn, error) {
			conn, err := r.door.dial(ctx, a)
			if r.door.dials.Load() == 3 {
				r.door.open(r.agentd)
			}
			return conn, err
		}})
	}()
	r.await(registered(1))
	stop()
	if err := r.end(); err != nil {
		t.Error(err)
	}
	r.agentd.Stop()
}
