package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
)

const (
	// withdrawal is how long calls may take to notice that they were withdrawn.
	withdrawal = 2 * time.Second
	// closing is how long connections may take to close once no call runs.
	closing = 200 * time.Millisecond
)

// DefinitionError says that a plugin is put together wrongly, with all faults.
type DefinitionError struct {
	Faults []error
}

func (e *DefinitionError) Error() string {
	said := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		said[i] = fault.Error()
	}
	return "the plugin is put together wrongly: " + strings.Join(said, "; ")
}

// Main is the whole main of a plugin: it runs it, says on stderr what went wrong, and ends the process:
// with 0 when it was told to stop, 2 when its settings are wrong, else 1.
func (p *Plugin) Main() {
	err := p.Run(context.Background())
	if err == nil {
		os.Exit(0)
	}
	slog.Error(err.Error(), "plugin", p.catalog.GetPlugin())
	var settings *SettingsError
	if errors.As(err, &settings) {
		os.Exit(2)
	}
	os.Exit(1)
}

// Run serves the plugin with the settings of the environment until SIGTERM or SIGINT, the end of ctx,
// or agentd's wish to stop; then running calls may finish. With AGENTD_SUPERVISED=1 the end of stdin
// stops it, too. Wrong settings, an address that cannot be listened on and a refusal by agentd are
// errors; each says what to change.
func (p *Plugin) Run(ctx context.Context) error {
	options, err := FromEnvironment()
	if err != nil {
		return err
	}
	stop := make(chan time.Duration, 1)
	defer toldToStop(ctx, stop, options.DrainTimeout)()
	return p.serve(options, stop)
}

// Serve is Run with settings of the author's own and without signals: it serves until ctx ends.
func (p *Plugin) Serve(ctx context.Context, options Options) error {
	options = options.withDefaults()
	stop := make(chan time.Duration, 1)
	defer context.AfterFunc(ctx, func() { stop <- options.DrainTimeout })()
	return p.serve(options, stop)
}

// serve serves until stop gives the time that running calls may still take.
func (p *Plugin) serve(options Options, stop <-chan time.Duration) error {
	if p.seal(); len(p.faults) > 0 {
		return &DefinitionError{p.faults}
	}
	if options.Slots > maxSlots {
		return &SettingsError{[]string{fmt.Sprintf("PLUGIN_SLOTS: %d is more than %d", options.Slots, maxSlots)}}
	}
	instance := newInstance(p, options.MaxConcurrentCalls)
	defer instance.end()
	life := &life{instance: instance, options: options, served: make(chan error, 1)}
	if err := life.listen(); err != nil {
		return err
	}
	keeper, err := newKeeper(instance, options, life.endpoint, life.ready)
	if err != nil {
		life.close()
		return err
	}
	life.keeper = keeper
	return life.run(stop)
}

// life is that of one plugin process: listen, keep the lease, drain.
type life struct {
	instance *instance
	options  Options
	keeper   *keeper
	// server is nothing in relay: no port is listened on.
	server   *server
	endpoint string
	served   chan error
}

func (l *life) listen() error {
	if l.options.Mode == Relay {
		return nil
	}
	var secured credentials.TransportCredentials
	if l.options.TLS != nil {
		var err error
		if secured, err = serverCredentials(*l.options.TLS); err != nil {
			return err
		}
	}
	listener := l.options.Listener
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", l.options.Listen); err != nil {
			return fmt.Errorf("cannot listen on %s: %w", l.options.Listen, err)
		}
	}
	l.endpoint = advertised(l.options.Advertise, listener.Addr(), secured != nil)
	l.server = newServer(l.instance, secured)
	slog.Info("listening", "plugin", l.instance.catalog.GetPlugin(), "address", listener.Addr().String(), "tls", secured != nil)
	go func() { l.served <- l.server.Serve(listener) }()
	return nil
}

func (l *life) ready(isReady bool) {
	if l.server != nil {
		l.server.ready(isReady && !l.instance.isDraining())
	}
}

func (l *life) close() {
	if l.server != nil {
		l.server.stop(closing)
	}
}

func (l *life) run(stop <-chan time.Duration) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	kept := make(chan error, 1)
	go func() { kept <- l.keeper.run(ctx) }()
	limit := l.options.DrainTimeout
	var err error
	select {
	case limit = <-stop:
		cancel()
		<-kept
	case err = <-kept:
	case err = <-l.served:
		limit, err = 0, fmt.Errorf("the plugin's server stopped: %w", err)
		cancel()
		<-kept
	}
	l.drain(limit)
	return err
}

// drain says goodbye in the order of the contract: no new calls, running ones finish, gone.
func (l *life) drain(limit time.Duration) {
	l.instance.drain()
	l.keeper.announceDrain()
	l.ready(false)
	if slots := l.keeper.slots; slots != nil {
		slots.letGo()
	}
	if !l.instance.calls.wait(limit) {
		slog.Warn("calls did not end in time; withdrawn", "calls", len(l.instance.places))
		l.instance.end()
		l.instance.calls.wait(withdrawal)
	}
	if slots := l.keeper.slots; slots != nil {
		slots.wait(withdrawal)
	}
	l.keeper.leave("the plugin stops")
	l.close()
}
