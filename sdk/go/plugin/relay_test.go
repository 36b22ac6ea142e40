package plugin_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"agentd.dev/sdk/go/internal/fake"
	"agentd.dev/sdk/go/plugin"
	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func parked(slots int) func(fake.Seen) bool {
	return func(seen fake.Seen) bool { return seen.Parked == slots }
}

func TestTheStatedNumberOfSlotsStaysParked(t *testing.T) {
	r := begin(t, probes(), fake.New(), plugin.Options{Mode: plugin.Relay, Slots: 3, Listen: "192.0.2.1:1"})
	r.await(parked(3))
	held := []*fake.Exchange{r.call("wait", ""), r.call("wait", "")}
	for _, exchange := range held {
		r.next(exchange)
	}
	r.await(parked(1))
	for n := range 20 {
		if outcome := r.outcome(r.call("echo", `{"text":"x"}`)); outcome.Failure != nil {
			t.Fatalf("call %d: %v", n, outcome.Failure)
		}
	}
	for _, exchange := range held {
		exchange.Cancel()
		if _, err := exchange.All(); err != nil {
			t.Error(err)
		}
	}
	seen := r.await(parked(3))
	if seen.Opened != 3+22 || seen.Released != 0 {
		t.Errorf("%d slots were opened and %d given back", seen.Opened, seen.Released)
	}
}

func TestIdleSlotsAreGivenBackAndBusyOnesFinishWhenThePluginStops(t *testing.T) {
	r := begin(t, probes(), fake.New(), plugin.Options{Mode: plugin.Relay, Slots: 3, DrainTimeout: fake.Patience})
	r.await(parked(3))
	busy := r.call("sleep", "")
	r.next(busy)
	r.stop()
	seen := r.await(func(seen fake.Seen) bool { return seen.Released == 2 })
	if len(seen.Deregisters) != 0 {
		t.Error("left before its calls ended")
	}
	updates, err := busy.All()
	if err != nil || updates[len(updates)-1].GetResult().GetSummary() != "slept" {
		t.Errorf("the running call ended with %v, %v", updates, err)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	seen = r.await(func(seen fake.Seen) bool { return len(seen.Deregisters) == 1 })
	order := strings.Join(seen.Order, " ")
	if !strings.HasSuffix(order, "draining released released deregister") || seen.Opened != 3 {
		t.Errorf("left in the order %s after %d slots", order, seen.Opened)
	}
}

func TestACallThatCrossesTheReturnOfItsSlotIsRefusedWithoutEffect(t *testing.T) {
	r := begin(t, probes(), fake.New(), plugin.Options{Mode: plugin.Relay, Slots: 1})
	slot, err := r.agentd.Take()
	if err != nil {
		t.Fatal(err)
	}
	exchange := slot.Cross(request("echo", `{"text":"x"}`))
	r.stop()
	outcome := r.outcome(exchange)
	if f := outcome.Failure; f.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_TRANSIENT || f.GetReason() != "DRAINING" ||
		f.GetEffects() != toolv1.EffectState_EFFECT_STATE_NONE || len(outcome.Updates) != 1 {
		t.Errorf("answered %v", outcome.Updates)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

func TestSlotsOfAnOldLeaseAreGivenBackAndRefuseWhatCrosses(t *testing.T) {
	taken := make(chan struct{})
	agentd := brisk()
	agentd.OnRenew = func(n int, _ *toolv1.RenewRequest) (*toolv1.RenewResponse, error) {
		if n == 1 {
			<-taken
			return &toolv1.RenewResponse{Directive: toolv1.InstanceDirective_INSTANCE_DIRECTIVE_REREGISTER}, nil
		}
		return nil, nil
	}
	r := begin(t, probes(), agentd, plugin.Options{Mode: plugin.Relay, Slots: 1})
	slot, err := agentd.Take()
	if err != nil {
		t.Fatal(err)
	}
	exchange := slot.Cross(request("echo", `{"text":"x"}`))
	close(taken)
	if outcome := r.outcome(exchange); outcome.Failure.GetReason() != "DRAINING" || outcome.Failure.GetEffects() != toolv1.EffectState_EFFECT_STATE_NONE {
		t.Errorf("answered %v", outcome.Updates)
	}
	// The slot of the new lease serves.
	if outcome := r.outcome(r.call("echo", `{"text":"x"}`)); outcome.Failure != nil {
		t.Errorf("answered %v", outcome.Updates)
	}
}

func TestASlotOfALeaseThatIsUnknownIsNotHammered(t *testing.T) {
	agentd := fake.New()
	agentd.OnRegister = func(n int, _ *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error) {
		if n == 1 {
			// A lease that no slot will be known by.
			return &toolv1.RegisterResponse{LeaseId: "lost"}, nil
		}
		return nil, nil
	}
	r := begin(t, probes(), agentd, plugin.Options{Mode: plugin.Relay, Slots: 2})
	// Long before the next renewal, as a slot's word is enough to ask.
	seen := r.await(parked(2))
	if seen.Unknown > 20 || len(seen.Tried) != 2 {
		t.Errorf("%d slots were refused and %d registrations made", seen.Unknown, len(seen.Tried))
	}
}

func TestASlotThatHearsNothingIsOpenedAnew(t *testing.T) {
	agentd := fake.New()
	agentd.Ping, agentd.Mute = 20*time.Millisecond, true
	r := begin(t, probes(), agentd, plugin.Options{Mode: plugin.Relay, Slots: 1})
	r.await(func(seen fake.Seen) bool { return seen.Opened >= 3 })
	heard := fake.New()
	heard.Ping = 20 * time.Millisecond
	r = begin(t, probes(), heard, plugin.Options{Mode: plugin.Relay, Slots: 1})
	r.await(parked(1))
	// Ten pings long: kept, as pings come.
	<-time.After(200 * time.Millisecond)
	if seen := r.await(parked(1)); seen.Opened != 1 {
		t.Errorf("%d slots were opened although pings came", seen.Opened)
	}
}

func TestAnAgentdWithoutRelayEndsThePluginAndSaysSo(t *testing.T) {
	for _, isToldAtOnce := range []bool{false, true} {
		agentd := fake.New()
		agentd.NoRelay = true
		agentd.OnRegister = func(int, *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error) {
			if isToldAtOnce {
				return nil, status.Error(codes.Unimplemented, "no relay")
			}
			return nil, nil
		}
		err := begin(t, probes(), agentd, plugin.Options{Mode: plugin.Relay}).end()
		var refused *plugin.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "newer agentd") {
			t.Errorf("ended with %v", err)
		}
	}
}

func TestTheRegistrationTokenIsNotHandedToTheTool(t *testing.T) {
	p := plugin.New("probes", "1.0.0")
	plugin.ReadOnly(p, "look", "Looks at what its calls would carry.", func(ctx context.Context, _ *plugin.Call, _ nothing) (*plugin.Output, error) {
		headers, _ := metadata.FromOutgoingContext(ctx)
		return &plugin.Output{Result: len(headers)}, nil
	})
	r := begin(t, p, fake.New(), plugin.Options{Mode: plugin.Relay, Token: "registration-token"})
	r.await(parked(8))
	if carried := r.outcome(r.call("look", "")).Result.GetResultJson(); carried != "0" {
		t.Errorf("calls of the tool would carry %s headers of ours", carried)
	}
}
