package plugin

import (
	"context"
	"log/slog"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// attempt is how long one request may take.
	attempt = 5 * time.Second
	// goodbye is how long one at the end may take; agentd may be gone already.
	goodbye = 2 * time.Second
	// staleAfter failures the connection itself is doubted.
	staleAfter      = 2
	defaultTTL      = 30 * time.Second
	defaultRenewal  = 10 * time.Second
	shortestRenewal = 10 * time.Millisecond
)

// keeper keeps an instance known to agentd: Register, Renew at the pace agentd gives, Register again
// when the lease is lost, goodbye at the end. It is ready exactly while a lease is held by its own
// clock. It never gives up on an agentd that is away, and stops for one that says no.
type keeper struct {
	instance *instance
	options  Options
	// endpoint is what agentd dials; empty in relay.
	endpoint string
	dialer   *dialer
	ready    func(bool)

	link     *link
	backoff  backoff
	failures int
	lease    *lease
	slots    *slots
	// doubted is told when a slot found the lease unknown; unserved when agentd has no relay.
	doubted  chan struct{}
	unserved chan error
}

type lease struct {
	id, catalogDigest string
	renewal           time.Duration
	ends              time.Time
}

// loss says how a lease was lost.
type loss int

const (
	// stopped: the plugin was told to stop; the lease itself is good.
	stopped loss = iota
	// unwanted: agentd wants the plugin to stop.
	unwanted
	// unknown: agentd does not know it, or not us.
	unknown
	// outdated: agentd wants the catalog again; the lease itself is good.
	outdated
	// expired: no renewal came through in time.
	expired
	// failedFor: agentd cannot serve this plugin.
	failedFor
)

func newKeeper(i *instance, options Options, endpoint string, ready func(bool)) (*keeper, error) {
	dialer, err := newDialer(options)
	if err != nil {
		return nil, err
	}
	link, err := dialer.dial()
	if err != nil {
		return nil, err
	}
	return &keeper{
		instance: i, options: options, endpoint: endpoint, dialer: dialer, ready: ready, link: link,
		doubted: make(chan struct{}, 1), unserved: make(chan error, 1),
	}, nil
}

// run registers and renews until ctx ends or agentd wants the plugin to stop. announceDrain and leave
// then still speak for the lease held. It fails where trying again would not mend it.
func (k *keeper) run(ctx context.Context) error {
	for {
		if err := k.register(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		lost, err := k.hold(ctx)
		renewal := k.lease.renewal
		switch lost {
		case stopped:
			return nil
		case failedFor:
			return err
		case unwanted:
			slog.Info("agentd wants the plugin to stop")
			return nil
		case unknown:
			slog.Info("agentd does not know the lease; registering again")
			k.unready()
			pause(ctx, jitter(renewal/2))
		case outdated:
			pause(ctx, jitter(renewal/2))
		case expired:
			slog.Warn("the lease ran out; registering again")
			k.unready()
		}
	}
}

// unready says that agentd cannot be shown to know us now.
func (k *keeper) unready() {
	k.ready(false)
	if k.slots != nil {
		k.slots.letGo()
		k.slots = nil
	}
}

func (k *keeper) register(ctx context.Context) error {
	for {
		asked := time.Now()
		within, cancel := lingering(ctx)
		response, err := toolv1.NewPluginRegistryServiceClient(k.link).Register(authorised(within, k.options.Token), k.registration())
		cancel()
		if ctx.Err() != nil && err != nil {
			return nil
		}
		if err == nil {
			// Held whatever the answer means to us, so that it is given back at the end.
			k.take(response, asked)
			if err := judge(response, k.options.AgentdURL); err != nil {
				return err
			}
			k.serve(ctx)
			return nil
		}
		if refused := refused(err, k.options.AgentdURL); refused != nil {
			return refused
		}
		if k.options.Mode == Relay && status.Code(err) == codes.Unimplemented {
			return noRelay(err, k.options.AgentdURL)
		}
		k.unready()
		span, fault := k.failed("register", err)
		if fault != nil {
			return fault
		}
		if !pause(ctx, span) {
			return nil
		}
	}
}

func (k *keeper) registration() *toolv1.RegisterRequest {
	request := &toolv1.RegisterRequest{
		InstanceId: k.instance.id, Catalog: k.instance.catalog, MaxConcurrentCalls: small(cap(k.instance.places)),
	}
	if k.options.Mode == Relay {
		request.Transport = &toolv1.RegisterRequest_Relay{Relay: &toolv1.RelayTransport{Slots: small(k.options.Slots)}}
	} else {
		request.Transport = &toolv1.RegisterRequest_Direct{Direct: &toolv1.DirectTransport{
			Endpoint: k.endpoint, CallerToken: k.instance.callerToken,
		}}
	}
	return request
}

// lingering gives a registration its time, and, when the plugin is told to stop meanwhile, time to learn
// of the lease: one that nobody knows of could not be given back.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), attempt)
	forget := context.AfterFunc(ctx, func() { time.AfterFunc(goodbye, cancel) })
	return within, func() {
		forget()
		cancel()
	}
}

// take notes the lease that agentd gave.
func (k *keeper) take(response *toolv1.RegisterResponse, asked time.Time) {
	ttl := orElse(response.GetLeaseTtl(), defaultTTL)
	k.instance.learnDigests(response.GetVerdicts())
	k.lease = &lease{
		id: response.GetLeaseId(), catalogDigest: response.GetCatalogDigest(), ends: asked.Add(ttl),
		renewal: renewalOf(orElse(response.GetRenewInterval(), defaultRenewal), ttl),
	}
	k.failures, k.backoff = 0, backoff{}
}

// serve is ready for calls under the lease that was taken, unless the plugin was told to stop meanwhile.
func (k *keeper) serve(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	k.ready(true)
	if k.options.Mode == Relay && (k.slots == nil || k.slots.lease != k.lease.id) {
		if k.slots != nil {
			k.slots.letGo()
		}
		// On the same connection, as the slots belong to the very replica that gave the lease.
		k.slots = openSlots(k.instance, k.link, k.lease.id, k.options, k.doubted, k.unserved)
	}
	slog.Info("registered", "plugin", k.instance.catalog.GetPlugin(), "agentd", k.options.AgentdURL,
		"mode", string(k.options.Mode), "tools", len(k.instance.tools))
}

// hold renews until the lease is lost.
func (k *keeper) hold(ctx context.Context) (loss, error) {
	span := k.lease.renewal
	for {
		timer := time.NewTimer(min(span, time.Until(k.lease.ends)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return stopped, nil
		case err := <-k.unserved:
			timer.Stop()
			return failedFor, err
		case <-k.doubted:
			timer.Stop()
		case <-timer.C:
		}
		// A process that was stopped for long wakes up here, with a lease of the past.
		if !time.Now().Before(k.lease.ends) {
			return expired, nil
		}
		asked := time.Now()
		within, cancel := context.WithDeadline(ctx, earlier(k.lease.ends, asked.Add(attempt)))
		response, err := k.renew(within, toolv1.InstanceState_INSTANCE_STATE_READY)
		cancel()
		switch {
		case err == nil:
			k.failures, k.backoff = 0, backoff{}
			advise(response.GetWarnings())
			ttl := orElse(response.GetLeaseTtl(), defaultTTL)
			k.lease.ends = asked.Add(ttl)
			k.lease.renewal = renewalOf(orElse(response.GetRenewInterval(), k.lease.renewal), ttl)
			span = k.lease.renewal
			switch response.GetDirective() {
			case toolv1.InstanceDirective_INSTANCE_DIRECTIVE_STOP:
				return unwanted, nil
			case toolv1.InstanceDirective_INSTANCE_DIRECTIVE_REREGISTER:
				return outdated, nil
			}
		case ctx.Err() != nil:
			return stopped, nil
		case !time.Now().Before(k.lease.ends):
			return expired, nil
		case isLeaseLost(status.Code(err)):
			return unknown, nil
		default:
			var fault error
			if span, fault = k.failed("renew", err); fault != nil {
				return failedFor, fault
			}
		}
	}
}

func (k *keeper) renew(ctx context.Context, state toolv1.InstanceState) (*toolv1.RenewResponse, error) {
	return toolv1.NewPluginRegistryServiceClient(k.link).Renew(authorised(ctx, k.options.Token), &toolv1.RenewRequest{
		LeaseId: k.lease.id, CatalogDigest: k.lease.catalogDigest, State: state,
		CallsInFlight: small(len(k.instance.places)),
	})
}

// failed counts a failure, dials anew when the connection is doubtful, and says how long to pause.
func (k *keeper) failed(what string, err error) (time.Duration, error) {
	k.failures++
	said := status.Convert(err)
	log := slog.Debug
	if k.failures == 1 {
		log = slog.Warn
	}
	why := said.Message()
	if said.Code() == codes.Unimplemented {
		why += "; nobody takes plugins there: AGENTD_URL is the gRPC address, not the HTTP one"
	}
	log("cannot "+what+"; trying on", "agentd", k.options.AgentdURL, "code", said.Code().String(), "why", why)
	if k.failures%staleAfter == 0 {
		fresh, err := k.dialer.dial()
		if err != nil {
			return 0, err
		}
		k.link.leave()
		k.link = fresh
	}
	return k.backoff.next(), nil
}

// announceDrain tells agentd to send no new calls, if it can be told.
func (k *keeper) announceDrain() {
	if k.lease == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	if _, err := k.renew(ctx, toolv1.InstanceState_INSTANCE_STATE_DRAINING); err != nil {
		slog.Debug("agentd could not be told that the plugin is draining", "why", err)
	}
}

// leave ends the lease, if agentd can be told, and the connection.
func (k *keeper) leave(reason string) {
	if k.lease != nil {
		ctx, cancel := context.WithTimeout(context.Background(), goodbye)
		defer cancel()
		request := &toolv1.DeregisterRequest{LeaseId: k.lease.id, Reason: reason}
		if _, err := toolv1.NewPluginRegistryServiceClient(k.link).Deregister(authorised(ctx, k.options.Token), request); err != nil {
			slog.Debug("agentd could not be told that the plugin has gone", "why", err)
		}
		k.lease = nil
	}
	k.link.leave()
}

// isLeaseLost names codes that say that the lease is gone, or is not ours any more: Register decides
// what to do.
func isLeaseLost(code codes.Code) bool {
	switch code {
	case codes.NotFound, codes.FailedPrecondition, codes.PermissionDenied, codes.Unauthenticated:
		return true
	default:
		return false
	}
}

func renewalOf(interval, ttl time.Duration) time.Duration {
	return max(min(interval, ttl/2), shortestRenewal)
}

func orElse(d *durationpb.Duration, otherwise time.Duration) time.Duration {
	if given := d.AsDuration(); d != nil && given > 0 {
		return given
	}
	return otherwise
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
