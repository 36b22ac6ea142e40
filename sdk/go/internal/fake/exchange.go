package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Exchange is one call and what comes back.
type Exchange struct {
	// Updates come as they are read, and are closed at the end; Err then tells how it ended.
	Updates chan *toolv1.CallResponse
	Err     error
	cancel  func()
}

// Cancel withdraws the call as agentd does: direct by a reset, relay by a message.
func (e *Exchange) Cancel() { e.cancel() }

// All reads to the end.
func (e *Exchange) All() ([]*toolv1.CallResponse, error) {
	var all []*toolv1.CallResponse
	for update := range e.Updates {
		all = append(all, update)
	}
	return all, e.Err
}

// Begin sends a call to the plugin that registered last, as it registered.
func (a *Agentd) Begin(ctx context.Context, request *toolv1.CallRequest) (*Exchange, error) {
	registered, err := a.registration()
	if err != nil {
		return nil, err
	}
	if registered.GetDirect() == nil {
		slot, err := a.Take()
		if err != nil {
			return nil, err
		}
		return slot.Begin(request), nil
	}
	conn, err := a.direct()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	if token := registered.GetDirect().GetCallerToken(); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := toolv1.NewToolServiceClient(conn).Call(ctx, request)
	if err != nil {
		cancel()
		return nil, err
	}
	exchange := &Exchange{Updates: make(chan *toolv1.CallResponse), cancel: cancel}
	go func() {
		defer cancel()
		defer close(exchange.Updates)
		for {
			update, err := stream.Recv()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					exchange.Err = err
				}
				return
			}
			exchange.Updates <- update
		}
	}()
	return exchange, nil
}

func (a *Agentd) direct() (*grpc.ClientConn, error) {
	a.mu.Lock()
	conn := a.conn
	a.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	conn, err := a.Conn(grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conn = conn
	return conn, nil
}

// Slot is one parked stream of a plugin.
type Slot struct {
	calls  chan *toolv1.CallRequest
	cancel chan struct{}
	// Cross sends its call after the slot was given back.
	cross    chan *toolv1.CallRequest
	exchange *Exchange
}

// Take takes a parked slot.
func (a *Agentd) Take() (*Slot, error) {
	for {
		if _, err := a.Await(func(seen Seen) bool { return seen.Parked > 0 }); err != nil {
			return nil, fmt.Errorf("no slot is parked: %w", err)
		}
		var slot *Slot
		a.change(func() {
			if len(a.parked) > 0 {
				slot, a.parked = a.parked[0], a.parked[1:]
			}
		})
		if slot != nil {
			return slot, nil
		}
	}
}

// Begin sends the slot's one call.
func (s *Slot) Begin(request *toolv1.CallRequest) *Exchange {
	s.calls <- request
	return s.exchange
}

// Cross sends a call as soon as the plugin gave the slot back.
func (s *Slot) Cross(request *toolv1.CallRequest) *Exchange {
	s.cross <- request
	return s.exchange
}

// relay is the relay's service, apart from Agentd, whose Serve is another.
type relay struct {
	toolv1.UnimplementedToolRelayServiceServer
	*Agentd
}

// Serve holds one slot.
func (a relay) Serve(stream grpc.BidiStreamingServer[toolv1.ServeRequest, toolv1.ServeResponse]) error {
	opened, err := stream.Recv()
	if err != nil {
		return err
	}
	isKnown := false
	a.change(func() {
		isKnown = a.leases[opened.GetOpened().GetLeaseId()] != nil
		if !isKnown {
			a.seen.Unknown++
		}
	})
	if !isKnown {
		return leaseUnknown()
	}
	parked := &toolv1.SlotParked{PingInterval: durationpb.New(a.Ping)}
	if err := stream.Send(&toolv1.ServeResponse{Message: &toolv1.ServeResponse_Parked{Parked: parked}}); err != nil {
		return err
	}
	slot := &Slot{calls: make(chan *toolv1.CallRequest, 1), cancel: make(chan struct{}, 1), cross: make(chan *toolv1.CallRequest, 1)}
	slot.exchange = &Exchange{Updates: make(chan *toolv1.CallResponse), cancel: func() { slot.cancel <- struct{}{} }}
	a.change(func() {
		a.seen.Opened++
		a.parked = append(a.parked, slot)
	})
	defer a.unpark(slot)
	return a.hold(stream, slot)
}

func (a *Agentd) unpark(slot *Slot) {
	a.change(func() {
		for n, parked := range a.parked {
			if parked == slot {
				a.parked = append(a.parked[:n:n], a.parked[n+1:]...)
				return
			}
		}
	})
}

func (a *Agentd) hold(stream grpc.BidiStreamingServer[toolv1.ServeRequest, toolv1.ServeResponse], slot *Slot) error {
	heard, ended := make(chan *toolv1.ServeRequest), make(chan error, 1)
	go func() {
		for {
			message, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case heard <- message:
			case <-stream.Context().Done():
			}
		}
	}()
	tick := time.NewTicker(a.Ping)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if a.Mute {
				continue
			}
			if err := stream.Send(&toolv1.ServeResponse{Message: &toolv1.ServeResponse_Ping{Ping: &toolv1.SlotPing{}}}); err != nil {
				return err
			}
		case call := <-slot.calls:
			return slot.relay(stream, call, heard, ended)
		case message := <-heard:
			if message.GetReleased() == nil {
				return fmt.Errorf("an idle slot said %v", message)
			}
			a.change(func() {
				a.seen.Released++
				a.seen.Order = append(a.seen.Order, "released")
			})
			select {
			case call := <-slot.cross:
				return slot.relay(stream, call, heard, ended)
			default:
				return nil
			}
		case err := <-ended:
			return err
		}
	}
}

// relay sends a call down and its updates to who asked, and waits for the plugin's half-close.
func (s *Slot) relay(stream grpc.BidiStreamingServer[toolv1.ServeRequest, toolv1.ServeResponse], call *toolv1.CallRequest,
	heard <-chan *toolv1.ServeRequest, ended <-chan error) error {
	defer close(s.exchange.Updates)
	if err := stream.Send(&toolv1.ServeResponse{Message: &toolv1.ServeResponse_Call{Call: call}}); err != nil {
		s.exchange.Err = err
		return err
	}
	for {
		select {
		case <-s.cancel:
			withdrawn := &toolv1.CallCancelled{Reason: "a test", Grace: durationpb.New(time.Second)}
			if err := stream.Send(&toolv1.ServeResponse{Message: &toolv1.ServeResponse_Cancelled{Cancelled: withdrawn}}); err != nil {
				s.exchange.Err = err
				return err
			}
		case message := <-heard:
			s.exchange.Updates <- message.GetUpdate()
		case err := <-ended:
			if !errors.Is(err, io.EOF) {
				s.exchange.Err = err
			}
			return nil
		}
	}
}

func headerOf(ctx context.Context) string {
	headers, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(headers.Get("authorization"), ",")
}
