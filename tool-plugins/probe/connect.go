package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"agentd.dev/sdk/go/plugin"
)

// connectTimeout is how long one address may take.
const connectTimeout = 5 * time.Second

// connected is how connecting to an address went.
type connected struct {
	Address string `json:"address,omitempty"`
	// Why is empty when it went well: refused, timeout, unreachable, reset, fault.
	Why     string  `json:"why,omitempty"`
	Seconds float64 `json:"latency_s"`
	said    string
	conn    net.Conn
}

// reach resolves a target, has every address looked at, and connects to the first that answers. It
// dials the very addresses that were looked at: a name is never looked up twice.
func (s Settings) reach(ctx context.Context, t target) (resolved, connected, *plugin.Failure) {
	found := s.resolve(ctx, t)
	for _, address := range found.Addresses {
		if failure := s.Allow.address(address, t.port, t.address.IsValid()); failure != nil {
			return found, connected{}, failure
		}
	}
	if err := cutOff(ctx); err != nil {
		return found, connected{}, err
	}
	last := connected{}
	for _, address := range found.Addresses {
		if last = s.dial(ctx, netip.AddrPortFrom(address, t.port)); last.Why == "" {
			break
		}
	}
	if err := cutOff(ctx); err != nil && last.Why != "" {
		return found, connected{}, err
	}
	return found, last, nil
}

// cutOff tells whether the call's own time is over: what was waited for then proves nothing.
func cutOff(ctx context.Context) *plugin.Failure {
	deadline, has := ctx.Deadline()
	if ctx.Err() == nil && (!has || time.Now().Before(deadline)) {
		return nil
	}
	return plugin.NewFailure(plugin.Timeout, "TIMEOUT", "the time of the call was over before there was an answer")
}

func (s Settings) dial(ctx context.Context, to netip.AddrPort) connected {
	began := time.Now()
	conn, err := (&net.Dialer{Timeout: orElse(s.ConnectTimeout, connectTimeout)}).DialContext(ctx, "tcp", to.String())
	result := connected{Address: to.String(), Seconds: time.Since(began).Seconds(), conn: conn}
	if err != nil {
		result.said, result.Why = err.Error(), whyOf(err)
	}
	return result
}

func whyOf(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "unreachable"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case isTimeout(err), errors.Is(err, syscall.ETIMEDOUT):
		return "timeout"
	default:
		return "fault"
	}
}

// observe tells how connecting went.
func (c connected) observe(t target) plugin.Observation {
	observation := plugin.Observation{
		Subject: t.entity(), Value: new(c.Seconds), Unit: "s", End: time.Now(), Quote: c.said,
		Attributes: map[string]string{"address": c.Address},
	}
	if c.Why == "" {
		observation.Signal, observation.Statement = "probe.connected", t.String()+" takes connections"
		return observation
	}
	observation.Signal = "probe.unreachable"
	observation.Attributes["why"] = c.Why
	observation.Statement = t.String() + " takes no connection: " + map[string]string{
		"refused": "nothing listens there, or it is turned away (refused)", "timeout": "no answer in time",
		"unreachable": "no way leads there", "reset": "the connection was reset", "fault": "the system says " + c.said,
	}[c.Why]
	return observation
}
