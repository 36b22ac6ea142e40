package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	defaultPing = 15 * time.Second
	// silentPings is how many pings may be missed before a slot is dropped.
	silentPings = 3
	// slotEnd is how long agentd may take to end a slot that was given back or has answered.
	slotEnd = 5 * time.Second
	// steady is how long a slot must have been parked for its loss to be no sign of a fault.
	steady = time.Second
)

type serveStream = grpc.BidiStreamingClient[toolv1.ServeRequest, toolv1.ServeResponse]

// slots are those of one lease: so many streams to agentd, each for one call after another.
type slots struct {
	instance *instance
	link     *link
	lease    string
	token    string
	url      string
	doubted  chan<- struct{}
	unserved chan<- error

	// released ends when the slots are let go: idle ones are given back, others end with their call.
	released context.Context
	release  context.CancelFunc
	running  sync.WaitGroup
}

func openSlots(i *instance, l *link, lease string, o Options, doubted chan<- struct{}, unserved chan<- error) *slots {
	released, release := context.WithCancel(context.Background())
	s := &slots{
		instance: i, link: l.hold(), lease: lease, token: o.Token, url: o.AgentdURL,
		doubted: doubted, unserved: unserved, released: released, release: release,
	}
	for range o.Slots {
		s.running.Go(s.keep)
	}
	return s
}

// letGo gives all idle slots back and opens no new ones. It does not wait.
func (s *slots) letGo() {
	s.release()
	go func() {
		s.running.Wait()
		s.link.leave()
	}()
}

// wait waits until agentd ended all slots, at most for limit.
func (s *slots) wait(limit time.Duration) {
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(limit):
		slog.Debug("agentd did not end the slots that were given back")
	}
}

// keep holds one slot open until the slots are let go.
func (s *slots) keep() {
	var wait backoff
	for s.released.Err() == nil {
		began := time.Now()
		wasUsed, err := s.serve()
		switch {
		case wasUsed:
			wait = backoff{}
			continue
		case s.released.Err() != nil:
			return
		case status.Code(err) == codes.Unimplemented:
			select {
			case s.unserved <- noRelay(err, s.url):
			default:
			}
			return
		case isLeaseLost(status.Code(err)):
			select {
			case s.doubted <- struct{}{}:
			default:
			}
		}
		slog.Debug("a slot was lost; opening another", "why", err)
		if time.Since(began) > steady {
			wait = backoff{}
		}
		pause(s.released, wait.next())
	}
}

// noRelay says that agentd is too old for a plugin that it cannot dial.
func noRelay(err error, url string) error {
	return &RefusedError{
		URL: url, Reason: "it serves no relay (" + status.Convert(err).Message() + ")",
		Remedy: "use a newer agentd, or PLUGIN_MODE=direct",
	}
}

// serve opens one slot and holds it until it was used, given back or lost.
func (s *slots) serve() (wasUsed bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	slot, err := s.open(ctx)
	if err != nil {
		cancel()
		return false, err
	}
	// Whoever returns without having handed it on drops the slot.
	drop := cancel
	defer func() { drop() }()
	silence := time.NewTimer(attempt)
	defer silence.Stop()
	allowed := attempt
	released := s.released.Done()
	for {
		select {
		case <-released:
			released = nil
			// A parked slot is never reset: a call may be on its way to it.
			if err := slot.stream.Send(&toolv1.ServeRequest{Message: &toolv1.ServeRequest_Released{Released: &toolv1.SlotReleased{}}}); err != nil {
				return false, err
			}
			allowed = slotEnd
			silence.Reset(allowed)
		case message := <-slot.messages:
			if call := message.GetCall(); call != nil {
				s.take(slot, call)
				drop = func() {}
				go slot.end(cancel)
				return true, nil
			}
			if parked := message.GetParked(); parked != nil && released != nil {
				allowed = silentPings * orElse(parked.GetPingInterval(), defaultPing)
			}
			if released != nil {
				silence.Reset(allowed)
			}
		case err := <-slot.ended:
			return false, err
		case <-silence.C:
			return false, fmt.Errorf("nothing was heard for %v", allowed)
		}
	}
}

// take answers the one call of a slot.
func (s *slots) take(slot *slot, call *toolv1.CallRequest) {
	if s.released.Err() != nil {
		// It crossed the slot's return.
		refused := &toolv1.CallResponse{
			Sequence: 1, Update: failed(draining().onWire(s.instance.catalog.GetPlugin(), EffectsNone)).GetUpdate(),
		}
		_ = slot.tell(refused)
		return
	}
	ctx, cancel := context.WithCancelCause(slot.ctx)
	defer cancel(nil)
	answered := make(chan error, 1)
	go func() { answered <- s.instance.answer(ctx, call, slot.tell) }()
	ended := slot.ended
	for {
		select {
		case message := <-slot.messages:
			if message.GetCancelled() != nil {
				cancel(errWithdrawn)
			}
		case err := <-ended:
			cancel(errWithdrawn)
			// For whoever waits for the end after this.
			ended = nil
			slot.ended <- err
		case <-answered:
			return
		}
	}
}

// slot is one stream to agentd.
type slot struct {
	// ctx is without the registration token that the stream's own carries: it goes to the tool.
	ctx      context.Context
	stream   serveStream
	messages chan *toolv1.ServeResponse
	// ended has how the stream ended: nothing where agentd ended it with OK.
	ended chan error
}

func (s *slots) open(ctx context.Context) (*slot, error) {
	stream, err := toolv1.NewToolRelayServiceClient(s.link).Serve(authorised(ctx, s.token))
	if err != nil {
		return nil, err
	}
	opened := &toolv1.ServeRequest{Message: &toolv1.ServeRequest_Opened{Opened: &toolv1.SlotOpened{LeaseId: s.lease}}}
	// Where this fails, reading tells why.
	_ = stream.Send(opened)
	slot := &slot{ctx: ctx, stream: stream, messages: make(chan *toolv1.ServeResponse), ended: make(chan error, 1)}
	go func() {
		for {
			message, err := stream.Recv()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				slot.ended <- err
				return
			}
			select {
			case slot.messages <- message:
			case <-ctx.Done():
			}
		}
	}()
	return slot, nil
}

func (s *slot) tell(update *toolv1.CallResponse) error {
	return s.stream.Send(&toolv1.ServeRequest{Message: &toolv1.ServeRequest_Update{Update: update}})
}

// end half-closes the slot and waits for agentd to end it.
func (s *slot) end(drop context.CancelFunc) {
	defer drop()
	_ = s.stream.CloseSend()
	timer := time.NewTimer(slotEnd)
	defer timer.Stop()
	for {
		select {
		case <-s.messages:
		case <-s.ended:
			return
		case <-timer.C:
			return
		}
	}
}
