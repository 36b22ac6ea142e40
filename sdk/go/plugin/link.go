package plugin

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

const connectTimeout = 3 * time.Second

// link is a connection to agentd with several users; the last one closes it.
type link struct {
	*grpc.ClientConn
	mu    sync.Mutex
	users int
}

func (l *link) hold() *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users++
	return l
}

func (l *link) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users--; l.users == 0 {
		_ = l.Close()
	}
}

// dialer opens connections to agentd; each looks the name up anew.
type dialer struct {
	target  string
	options []grpc.DialOption
}

func newDialer(o Options) (*dialer, error) {
	url, err := splitURL(o.AgentdURL)
	if err != nil {
		return nil, &SettingsError{[]string{"AGENTD_URL: " + err.Error()}}
	}
	port, transport := "80", insecure.NewCredentials()
	if url.Scheme == "https" {
		var secured credentials.TransportCredentials
		if secured, err = clientCredentials(o.CAFile, o.TLS); err != nil {
			return nil, err
		}
		port, transport = "443", secured
	}
	if url.Port() != "" {
		port = url.Port()
	}
	scheme := "dns:///"
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxWire), grpc.MaxCallSendMsgSize(maxWire)),
		// grpc-go's own pauses grow to two minutes: agentd would be back long before the plugin.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: connectTimeout,
		}),
		// Neither an HTTP proxy nor a TXT record of the name has a say in where agentd is.
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		// A quiet connection stays: the slots of a relay may be parked for hours.
		grpc.WithIdleTimeout(0),
	}
	if o.DialAgentd != nil {
		scheme = "passthrough:///"
		options = append(options, grpc.WithContextDialer(o.DialAgentd))
	}
	return &dialer{scheme + net.JoinHostPort(url.Hostname(), port), options}, nil
}

func (d *dialer) dial() (*link, error) {
	conn, err := grpc.NewClient(d.target, d.options...)
	if err != nil {
		return nil, &SettingsError{[]string{"AGENTD_URL: " + err.Error()}}
	}
	return &link{ClientConn: conn, users: 1}, nil
}

// authorised adds the registration token, when there is one.
func authorised(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}
