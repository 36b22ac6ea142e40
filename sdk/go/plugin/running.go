package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/protobuf/proto"
)

// waiting is how many updates may wait for a slow reader; each is at most 512 KiB.
const waiting = 4

var (
	errWithdrawn = errors.New("the call was withdrawn")
	errOver      = errors.New("the time allowed is over")
)

// answer takes one call from its checks to its last update. ctx ends when the call is withdrawn; send
// waits while the caller does not read, and fails when nobody listens any more.
func (i *instance) answer(ctx context.Context, request *toolv1.CallRequest, send func(*toolv1.CallResponse) error) error {
	i.calls.enter()
	defer i.calls.leave()
	teller := &teller{send: send}
	begun, failure := i.check(request)
	if failure != nil {
		return teller.tell(failed(failure.onWire(i.catalog.GetPlugin(), EffectsNone)))
	}
	run := i.begin(ctx, begun)
	defer run.finish()
	accepted := &toolv1.CallAccepted{InstanceId: i.id}
	if err := teller.tell(&toolv1.CallResponse{Update: &toolv1.CallResponse_Accepted{Accepted: accepted}}); err != nil {
		return err
	}
	for {
		select {
		case update := <-run.updates:
			if err := teller.tell(update); err != nil {
				return err
			}
		case ended := <-run.ended:
			return run.conclude(teller, ended)
		case <-run.ctx.Done():
			// Work that ended in the same moment has ended.
			select {
			case ended := <-run.ended:
				return run.conclude(teller, ended)
			default:
				run.isTold.Do(run.release)
				return teller.tell(failed(run.cutOff().onWire(i.catalog.GetPlugin(), run.least())))
			}
		}
	}
}

// teller numbers what it tells.
type teller struct {
	send     func(*toolv1.CallResponse) error
	sequence int32
}

func (t *teller) tell(update *toolv1.CallResponse) error {
	t.sequence++
	// Facts and failures may be told to several callers; the number is each one's own.
	numbered := &toolv1.CallResponse{Sequence: t.sequence, Update: update.GetUpdate()}
	return t.send(numbered)
}

// running is one accepted call: its work in a goroutine of its own, and what it tells.
type running struct {
	instance *instance
	begun    beginning
	call     *Call
	ctx      context.Context
	cancel   context.CancelCauseFunc
	updates  chan *toolv1.CallResponse
	ended    chan settled
	over     chan struct{}
	// holders of the call's place: the work, and the telling.
	holders atomic.Int32
	isTold  sync.Once
}

func (i *instance) begin(ctx context.Context, begun beginning) *running {
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, stop := context.WithTimeoutCause(ctx, begun.bounds.timeout, errOver)
	detach := context.AfterFunc(i.ending, func() { cancel(errWithdrawn) })
	run := &running{
		instance: i, begun: begun, ctx: ctx, cancel: cancel,
		updates: make(chan *toolv1.CallResponse, waiting), ended: make(chan settled, 1), over: make(chan struct{}),
	}
	request, asker := begun.request, begun.request.GetContext()
	run.call = &Call{
		ID: request.GetCallId(), Attempt: int(max(request.GetAttempt(), 1)), IdempotencyKey: request.GetIdempotencyKey(),
		PageToken: request.GetPageToken(), DryRun: begun.isDry, MaxResultBytes: begun.bounds.result,
		Trace: Trace{asker.GetTraceContext()["traceparent"], asker.GetTraceContext()["tracestate"], asker.GetTraceContext()["baggage"]},
		Asker: Asker{asker.GetInvestigation(), asker.GetStepId(), asker.GetPrincipal(), asker.GetEnvironment(), asker.GetApproval()},
		tool:  begun.tool.descriptor.GetName(), ctx: ctx, ending: i.ending,
		updates: run.updates, over: run.over, interval: begun.bounds.progress,
	}
	run.holders.Store(2)
	i.calls.enter()
	go func() {
		defer i.calls.leave()
		defer stop()
		defer detach()
		ended := run.once()
		run.release()
		run.ended <- ended
	}()
	return run
}

// finish is called when nothing more is told: what still works learns that it is over.
func (r *running) finish() {
	r.cancel(errWithdrawn)
	close(r.over)
	r.isTold.Do(r.release)
}

func (r *running) release() {
	if r.holders.Add(-1) == 0 {
		<-r.instance.places
	}
}

// once does the work, or gives how it ended when it was done before under the same key.
func (r *running) once() settled {
	claim := r.begun.claim
	for {
		if claim == nil {
			return r.work()
		}
		if claim.isFirst {
			ended := r.work()
			r.instance.keyed.settle(claim, ended)
			return ended
		}
		select {
		case <-claim.entry.done:
		case <-r.ctx.Done():
			return r.settle(nil, context.Cause(r.ctx))
		}
		if claim.entry.stays {
			return claim.entry.ended
		}
		// The first one changed nothing, so this one may try.
		var failure *Failure
		if claim, failure = r.instance.keyed.again(claim); failure != nil {
			return r.settle(nil, failure)
		}
	}
}

// work calls the tool; a panic is a defect to tell, and the plugin goes on. It has a goroutine of its
// own, so that runtime.Goexit, as of t.FailNow, ends no more than that.
func (r *running) work() settled {
	done := make(chan settled, 1)
	go func() {
		hasReturned := false
		defer func() {
			if hasReturned {
				return
			}
			// Nothing when the goroutine was left by runtime.Goexit.
			why := recover()
			r.call.Logger().Error("a tool panicked", "panic", told(fmt.Sprint(why), maxMessage), "stack", string(debug.Stack()))
			done <- r.settle(nil, NewFailure(Bug, "PANIC", "the tool panicked: %v", why))
		}()
		output, err := r.begun.work(r.ctx, r.call)
		// Making the updates is part of the work: a panic of an author's MarshalJSON is a defect, too.
		ended := r.settle(output, err)
		hasReturned = true
		done <- ended
	}()
	return <-done
}

func (r *running) settle(output *Output, err error) settled {
	if err != nil && r.ctx.Err() != nil {
		// Whatever it says failed, it failed since it was cut off.
		cut := r.cutOff()
		var own *Failure
		if errors.As(err, &own) {
			cut.Effects = own.Effects
		}
		err = cut
	}
	return settle(output, err, r.instance.catalog.GetPlugin(), r.least())
}

// least is what a failure says about effects where the tool said nothing.
func (r *running) least() Effects {
	if (r.begun.tool.isReadOnly() || r.begun.isDry) && !r.call.protected.Load() {
		return EffectsNone
	}
	return EffectsMaybe
}

// cutOff says why the call ended before its work.
func (r *running) cutOff() *Failure {
	cause := context.Cause(r.ctx)
	if errors.Is(cause, errOver) || errors.Is(cause, context.DeadlineExceeded) {
		return NewFailure(Timeout, "TIMEOUT", "the work was not done within %v", r.begun.bounds.timeout)
	}
	return NewFailure(Cancelled, "CANCELLED", "the call was withdrawn")
}

// conclude tells what was said before the end, then the end.
func (r *running) conclude(teller *teller, ended settled) error {
	for {
		select {
		case update := <-r.updates:
			if err := teller.tell(update); err != nil {
				return err
			}
			continue
		default:
		}
		break
	}
	last := ended.updates(r.begun.bounds.result)
	for n, update := range last {
		if n == len(last)-1 {
			// Whoever reads the last update may call again at once.
			r.isTold.Do(r.release)
		}
		if size := proto.Size(update); size > maxUpdate {
			slog.Error("an update is larger than the contract allows", "bytes", size)
		}
		if err := teller.tell(update); err != nil {
			return err
		}
	}
	return nil
}
