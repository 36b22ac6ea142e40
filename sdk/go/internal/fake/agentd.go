// Package fake plays agentd to a plugin under test: it takes registrations, gives leases, holds relay
// slots and sends calls, and does wrong what a test tells it to. It keeps to the contract's wire and to
// nothing else of agentd.
package fake

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Patience is how long a test waits for what must come.
const Patience = 20 * time.Second

// Agentd is the fake. Set its fields before Serve.
type Agentd struct {
	toolv1.UnimplementedPluginRegistryServiceServer

	// TTL of leases, and when to renew them.
	TTL, Renewal time.Duration
	// Ping is the pause between two pings of a slot; Mute tells it and sends none.
	Ping time.Duration
	Mute bool
	// NoRelay answers Serve as an agentd that does not know it.
	NoRelay bool
	// OnRegister and OnRenew may answer in its place; n counts from 1. Nothing twice means: as usual.
	OnRegister func(n int, request *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error)
	OnRenew    func(n int, request *toolv1.RenewRequest) (*toolv1.RenewResponse, error)
	// DialPlugin opens connections to the plugin where it is not on a socket.
	DialPlugin func(ctx context.Context, address string) (net.Conn, error)

	server *grpc.Server

	mu      sync.Mutex
	changed chan struct{}
	seen    Seen
	leases  map[string]*toolv1.RegisterRequest
	latest  string
	parked  []*Slot
	conn    *grpc.ClientConn
}

// Seen is what came in so far.
type Seen struct {
	Registers   []*toolv1.RegisterRequest
	Renews      []*toolv1.RenewRequest
	Deregisters []*toolv1.DeregisterRequest
	// Tried are the moments of all Registers, also of those refused.
	Tried []time.Time
	// Opened counts the slots ever parked, Unknown those of leases not known, Released those given back.
	Opened, Unknown, Released int
	// Parked are those that wait now.
	Parked int
	// Order has the word of each request as it came.
	Order []string
	// Authorised is the last authorization header.
	Authorised string
}

// New gives a fake with short leases.
func New() *Agentd {
	return &Agentd{
		TTL: time.Minute, Renewal: time.Minute, Ping: time.Minute,
		changed: make(chan struct{}), leases: map[string]*toolv1.RegisterRequest{},
	}
}

// Serve begins to serve on a listener.
func (a *Agentd) Serve(listener net.Listener, options ...grpc.ServerOption) {
	a.server = grpc.NewServer(options...)
	toolv1.RegisterPluginRegistryServiceServer(a.server, a)
	if !a.NoRelay {
		toolv1.RegisterToolRelayServiceServer(a.server, relay{Agentd: a})
	}
	go func() { _ = a.server.Serve(listener) }()
}

// Stop ends it as kill -9 does.
func (a *Agentd) Stop() {
	a.server.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		_ = a.conn.Close()
	}
}

// Forget loses all leases, as a restart with an empty store does.
func (a *Agentd) Forget() {
	a.change(func() { clear(a.leases) })
}

// Await waits until what was seen fits, and gives it.
func (a *Agentd) Await(fits func(Seen) bool) (Seen, error) {
	limit := time.NewTimer(Patience)
	defer limit.Stop()
	for {
		a.mu.Lock()
		seen, changed := a.copied(), a.changed
		a.mu.Unlock()
		if fits(seen) {
			return seen, nil
		}
		select {
		case <-changed:
		case <-limit.C:
			return seen, fmt.Errorf("waited %v in vain; seen: %v", Patience, seen.Order)
		}
	}
}

func (a *Agentd) copied() Seen {
	seen := a.seen
	seen.Registers, seen.Renews = slices.Clone(seen.Registers), slices.Clone(seen.Renews)
	seen.Deregisters, seen.Tried, seen.Order = slices.Clone(seen.Deregisters), slices.Clone(seen.Tried), slices.Clone(seen.Order)
	seen.Parked = len(a.parked)
	return seen
}

func (a *Agentd) change(what func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	what()
	close(a.changed)
	a.changed = make(chan struct{})
}

// Register takes a registration.
func (a *Agentd) Register(ctx context.Context, request *toolv1.RegisterRequest) (*toolv1.RegisterResponse, error) {
	n := 0
	a.change(func() {
		a.seen.Tried = append(a.seen.Tried, time.Now())
		a.seen.Order = append(a.seen.Order, "register")
		a.seen.Authorised = headerOf(ctx)
		n = len(a.seen.Tried)
	})
	if a.OnRegister != nil {
		if response, err := a.OnRegister(n, request); response != nil || err != nil {
			return response, err
		}
	}
	lease := fmt.Sprintf("lease-%d-%p", n, a)
	response := &toolv1.RegisterResponse{
		LeaseId: lease, LeaseTtl: durationpb.New(a.TTL), RenewInterval: durationpb.New(a.Renewal), Protocol: 1, CatalogDigest: "sha256:catalog",
	}
	for _, tool := range request.GetCatalog().GetTools() {
		response.Verdicts = append(response.Verdicts, &toolv1.ToolVerdict{Accepted: true, Tool: &toolv1.ToolRef{
			Plugin: request.GetCatalog().GetPlugin(), Tool: tool.GetName(), Version: tool.GetVersion(), Digest: DigestOf(tool.GetName(), tool.GetVersion()),
		}})
	}
	a.change(func() {
		a.seen.Registers = append(a.seen.Registers, request)
		a.leases[lease], a.latest = request, lease
	})
	return response, nil
}

// DigestOf is what the fake calls a tool.
func DigestOf(tool, version string) string { return "sha256:" + tool + version }

// Renew takes a sign of life.
func (a *Agentd) Renew(_ context.Context, request *toolv1.RenewRequest) (*toolv1.RenewResponse, error) {
	n, isKnown := 0, false
	a.change(func() {
		a.seen.Renews = append(a.seen.Renews, request)
		word := "renew"
		if request.GetState() == toolv1.InstanceState_INSTANCE_STATE_DRAINING {
			word = "draining"
		}
		a.seen.Order = append(a.seen.Order, word)
		n, isKnown = len(a.seen.Renews), a.leases[request.GetLeaseId()] != nil
	})
	if a.OnRenew != nil {
		if response, err := a.OnRenew(n, request); response != nil || err != nil {
			return response, err
		}
	}
	if !isKnown {
		return nil, leaseUnknown()
	}
	return &toolv1.RenewResponse{
		LeaseTtl: durationpb.New(a.TTL), RenewInterval: durationpb.New(a.Renewal), ServerTime: timestamppb.Now(),
		Directive: toolv1.InstanceDirective_INSTANCE_DIRECTIVE_CONTINUE,
	}, nil
}

// Deregister takes a goodbye.
func (a *Agentd) Deregister(_ context.Context, request *toolv1.DeregisterRequest) (*toolv1.DeregisterResponse, error) {
	a.change(func() {
		a.seen.Deregisters = append(a.seen.Deregisters, request)
		a.seen.Order = append(a.seen.Order, "deregister")
		delete(a.leases, request.GetLeaseId())
	})
	return &toolv1.DeregisterResponse{}, nil
}

func leaseUnknown() error {
	said, err := status.New(codes.NotFound, "the lease is not known").WithDetails(&errdetails.ErrorInfo{Reason: "LEASE_UNKNOWN", Domain: "agentd"})
	if err != nil {
		return err
	}
	return said.Err()
}

// registration gives the latest one.
func (a *Agentd) registration() (*toolv1.RegisterRequest, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if request := a.leases[a.latest]; request != nil {
		return request, nil
	}
	return nil, fmt.Errorf("no plugin is registered")
}

// Conn gives a connection to a plugin that is dialled.
func (a *Agentd) Conn(options ...grpc.DialOption) (*grpc.ClientConn, error) {
	request, err := a.registration()
	if err != nil {
		return nil, err
	}
	target := "dns:///" + strings.TrimPrefix(request.GetDirect().GetEndpoint(), "https://")
	if a.DialPlugin != nil {
		target = "passthrough:///plugin"
		options = append(options, grpc.WithContextDialer(a.DialPlugin))
	}
	return grpc.NewClient(target, options...)
}
