package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"agentd.dev/sdk/go/internal/fake"
	"agentd.dev/sdk/go/plugin"
	"agentd.dev/sdk/go/plugintest"
	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc/codes"
)

type amount struct {
	Amount int64 `json:"amount"`
}

// payer acts once it is let go on, and counts.
type payer struct {
	paid  atomic.Int32
	begun chan struct{}
	goOn  chan error
}

func newPayer() *payer { return &payer{begun: make(chan struct{}, 16), goOn: make(chan error, 16)} }

func (p *payer) plugin() *plugin.Plugin {
	made := plugin.New("probes", "1.0.0")
	plugin.Changing(made, "pay", "Pays.", plugin.Reversible, plugin.High, func(ctx context.Context, call *plugin.Call, args amount) (*plugin.Output, error) {
		p.begun <- struct{}{}
		var receipt int32
		err := call.Protect(func(ctx context.Context) error {
			select {
			case err := <-p.goOn:
				if err == nil {
					receipt = p.paid.Add(1)
				}
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil {
			return nil, err
		}
		return &plugin.Output{
			Result:        map[string]any{"receipt": receipt, "amount": args.Amount},
			Compensations: []plugin.Compensation{{Tool: "repay", Arguments: args, Summary: "give it back"}},
		}, nil
	}).Keyed().UndoneBy("repay", false)
	plugin.Changing(made, "repay", "Pays back.", plugin.Additive, plugin.Low, func(context.Context, *plugin.Call, amount) (*plugin.Output, error) {
		return nil, nil
	})
	return made
}

func TestTheSameKeyActsOnceAlsoWhileTheFirstStillRuns(t *testing.T) {
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		p := newPayer()
		r := begin(t, p.plugin(), fake.New(), plugin.Options{Mode: mode})
		r.await(registered(1))
		key := plugintest.Key("k-1")
		first := r.call("pay", `{"amount":9007199254740993}`, key)
		within(t, "the first to begin", p.begun)
		// The same arguments, written otherwise.
		second := r.call("pay", ` { "amount" : 9007199254740993 } `, key)
		r.next(second)
		// Other arguments, the same to who reads numbers as floating point.
		other := r.outcome(r.call("pay", `{"amount":9007199254740992}`, key))
		if f := other.Failure; f.GetCode() != int32(codes.AlreadyExists) || f.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_INVALID_ARGUMENT ||
			f.GetEffects() != toolv1.EffectState_EFFECT_STATE_NONE || len(other.Updates) != 1 {
			t.Errorf("other arguments: %v", other.Updates)
		}
		p.goOn <- nil
		paid := r.outcome(first).Result
		for update := range second.Updates {
			if again := update.GetResult(); again.GetResultJson() != paid.GetResultJson() || len(again.GetCompensations()) != 1 {
				t.Errorf("%s: the second was told %v, the first %v", mode, again, paid)
			}
		}
		later := r.outcome(r.call("pay", `{"amount":9007199254740993}`, key)).Result
		if later.GetResultJson() != paid.GetResultJson() || p.paid.Load() != 1 {
			t.Errorf("%s: paid %d times; later told %v", mode, p.paid.Load(), later)
		}
		p.goOn <- nil
		if r.outcome(r.call("pay", `{"amount":2}`, plugintest.Key("k-2"))); p.paid.Load() != 2 {
			t.Errorf("another key paid %d times in all", p.paid.Load())
		}
	}
}

func TestAKeyWhoseCallChangedNothingMayBeTriedAgain(t *testing.T) {
	p := newPayer()
	r := begin(t, p.plugin(), fake.New(), plugin.Options{})
	r.await(registered(1))
	key := plugintest.Key("k-1")
	nothingDone := plugin.External("bank", "CLOSED", "the bank is closed")
	nothingDone.Effects = plugin.EffectsNone
	p.goOn <- nothingDone
	if f := r.outcome(r.call("pay", `{"amount":1}`, key)).Failure; f.GetEffects() != toolv1.EffectState_EFFECT_STATE_NONE {
		t.Errorf("told as %v", f)
	}
	p.goOn <- errors.New("lost the bank's answer")
	unsure := r.outcome(r.call("pay", `{"amount":1}`, key)).Failure
	again := r.outcome(r.call("pay", `{"amount":1}`, key)).Failure
	if unsure.GetEffects() != toolv1.EffectState_EFFECT_STATE_MAYBE || again.GetMessage() != unsure.GetMessage() || p.paid.Load() != 0 {
		t.Errorf("told as %v, then %v", unsure, again)
	}
	if begun := len(p.begun); begun != 2 {
		t.Errorf("the work began %d times", begun)
	}
}

func TestAProtectedSectionGoesOnWhenTheCallIsOver(t *testing.T) {
	for _, mode := range []plugin.Mode{plugin.Direct, plugin.Relay} {
		p := newPayer()
		r := begin(t, p.plugin(), fake.New(), plugin.Options{Mode: mode})
		r.await(registered(1))
		key := plugintest.Key("k-1")
		failure := r.outcome(r.call("pay", `{"amount":1}`, key, timeout(50*time.Millisecond))).Failure
		if failure.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_TIMEOUT || failure.GetEffects() != toolv1.EffectState_EFFECT_STATE_MAYBE {
			t.Errorf("%s: told as %v", mode, failure)
		}
		// The next attempt finds the first one at work, and gets what it did.
		second := r.call("pay", `{"amount":1}`, key)
		r.next(second)
		p.goOn <- nil
		var last *toolv1.CallResponse
		for update := range second.Updates {
			last = update
		}
		if last.GetResult() == nil || p.paid.Load() != 1 {
			t.Errorf("%s: paid %d times and told %v", mode, p.paid.Load(), last)
		}
	}
}

func TestAProtectedSectionEndsWithTheTimeToDrain(t *testing.T) {
	p := newPayer()
	r := begin(t, p.plugin(), fake.New(), plugin.Options{DrainTimeout: 50 * time.Millisecond})
	r.await(registered(1))
	exchange := r.call("pay", `{"amount":1}`)
	within(t, "the work to begin", p.begun)
	r.stop()
	failure := r.outcome(exchange).Failure
	if failure.GetFailureClass() != toolv1.FailureClass_FAILURE_CLASS_CANCELLED || failure.GetEffects() != toolv1.EffectState_EFFECT_STATE_MAYBE {
		t.Errorf("told as %v", failure)
	}
	if err := r.end(); err != nil || p.paid.Load() != 0 {
		t.Errorf("ended with %v, paid %d times", err, p.paid.Load())
	}
}

func TestAPluginPutTogetherWronglySaysAllThatIsWrong(t *testing.T) {
	p := plugin.New("probes", "1.0.0").Signal("other.seen", "x", plugin.Harm)
	twice := func(context.Context, *plugin.Call, nothing) (*plugin.Output, error) { return nil, nil }
	plugin.ReadOnly(p, "same", "Is there twice.", twice)
	plugin.ReadOnly(p, "same", "Is there twice.", twice).Applies(plugin.FromStart("[]"))
	plugin.ReadOnly(p, "scalar", "Has no struct.", func(context.Context, *plugin.Call, string) (*plugin.Output, error) { return nil, nil })
	err := p.Serve(t.Context(), plugin.Options{})
	var wrong *plugin.DefinitionError
	if !errors.As(err, &wrong) || len(wrong.Faults) != 4 {
		t.Errorf("said %v", fmt.Sprint(err))
	}
}
