package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	defaultURL   = "http://127.0.0.1:50051"
	defaultDrain = 25 * time.Second
	defaultCalls = 8
	maxSlots     = 64
)

// Mode says who dials whom.
type Mode string

// Who dials whom.
const (
	// Direct listens, and agentd dials the plugin.
	Direct Mode = "direct"
	// Relay listens nowhere: the plugin parks slots at agentd. For plugins behind NAT, in other networks
	// and on laptops.
	Relay Mode = "relay"
)

// TLSFiles are PEM files. They are looked at for each connection and read again when they changed.
type TLSFiles struct {
	// Cert holds our certificates, the own one first; Key its key.
	Cert, Key string
	// ClientCA holds the authorities of the certificate that agentd must show; empty asks for none.
	ClientCA string
}

// Options are the settings of one plugin process. Unset fields mean their defaults.
type Options struct {
	// AgentdURL is http://HOST:PORT or https://HOST:PORT; http://127.0.0.1:50051 unless set.
	AgentdURL string
	// CAFile holds who vouches for an agentd at https://; empty means the system. Read for each
	// connection.
	CAFile string
	// TLS is what is served, and shown to an agentd that asks for a certificate; nil serves plain text.
	TLS *TLSFiles
	// Token is the registration token; empty means none. Never printed.
	Token string
	// Mode is Direct unless set.
	Mode Mode
	// Listen is ADDRESS:PORT; 127.0.0.1:0, a free port, unless set. Not for Relay.
	Listen string
	// Advertise is what agentd dials, HOST:PORT or :PORT, with https:// before it where a proxy serves
	// TLS for the plugin; derived from Listen unless set.
	Advertise string
	// Slots parked at agentd, 1 to 64; 8 unless set. Only for Relay.
	Slots int
	// MaxConcurrentCalls taken at once; 8 unless set. Relay takes as many as it has slots.
	MaxConcurrentCalls int
	// DrainTimeout is how long running calls may finish once the plugin was told to stop; 25 s unless
	// set.
	DrainTimeout time.Duration
	// Listener and DialAgentd take the place of sockets, as in tests.
	Listener   net.Listener
	DialAgentd func(ctx context.Context, address string) (net.Conn, error)
}

// SettingsError tells every wrong setting at once.
type SettingsError struct {
	// Faults name the variable and how to mend it.
	Faults []string
}

func (e *SettingsError) Error() string {
	return "the plugin's settings are wrong: " + strings.Join(e.Faults, "; ")
}

// FromEnvironment reads AGENTD_URL, AGENTD_CA_FILE, AGENTD_PLUGIN_TOKEN or AGENTD_PLUGIN_TOKEN_FILE,
// PLUGIN_MODE, PLUGIN_LISTEN, PLUGIN_ADVERTISE, PLUGIN_TLS_CERT, PLUGIN_TLS_KEY, PLUGIN_TLS_CLIENT_CA
// and PLUGIN_SLOTS. An empty value counts as unset. The error is a *SettingsError.
func FromEnvironment() (Options, error) { return fromVariables(os.Getenv) }

func fromVariables(variable func(string) string) (Options, error) {
	options := Options{AgentdURL: variable("AGENTD_URL"), Listen: variable("PLUGIN_LISTEN"), Advertise: variable("PLUGIN_ADVERTISE")}
	var faults []string
	wrong := func(name, format string, args ...any) {
		faults = append(faults, name+": "+fmt.Sprintf(format, args...))
	}
	if _, err := splitURL(options.AgentdURL); options.AgentdURL != "" && err != nil {
		wrong("AGENTD_URL", "%v", err)
	}
	pem := func(name string) string {
		path := variable(name)
		if path != "" {
			if _, err := os.ReadFile(path); err != nil {
				wrong(name, "cannot read %s: %v", path, errors.Unwrap(err))
			}
		}
		return path
	}
	options.CAFile = pem("AGENTD_CA_FILE")
	files := TLSFiles{pem("PLUGIN_TLS_CERT"), pem("PLUGIN_TLS_KEY"), pem("PLUGIN_TLS_CLIENT_CA")}
	switch {
	case (files.Cert == "") != (files.Key == ""):
		wrong("PLUGIN_TLS_CERT", "goes with PLUGIN_TLS_KEY; give both")
	case files.Cert != "":
		options.TLS = &files
	case files.ClientCA != "":
		wrong("PLUGIN_TLS_CLIENT_CA", "wants PLUGIN_TLS_CERT and PLUGIN_TLS_KEY beside it")
	}
	options.Token = strings.TrimSpace(variable("AGENTD_PLUGIN_TOKEN"))
	if path := variable("AGENTD_PLUGIN_TOKEN_FILE"); options.Token == "" && path != "" {
		token, err := os.ReadFile(path)
		if err != nil {
			wrong("AGENTD_PLUGIN_TOKEN_FILE", "cannot read %s: %v", path, errors.Unwrap(err))
		}
		options.Token = strings.TrimSpace(string(token))
	}
	if strings.ContainsFunc(options.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		wrong("AGENTD_PLUGIN_TOKEN", "has characters a header cannot carry")
	}
	if options.Listen != "" {
		if _, err := netip.ParseAddrPort(options.Listen); err != nil {
			wrong("PLUGIN_LISTEN", "%q is not ADDRESS:PORT, such as 127.0.0.1:0", options.Listen)
		}
	}
	switch mode := Mode(variable("PLUGIN_MODE")); mode {
	case "", Direct, Relay:
		options.Mode = mode
	default:
		wrong("PLUGIN_MODE", "%q is neither direct nor relay", mode)
	}
	if text := variable("PLUGIN_SLOTS"); text != "" {
		slots, err := strconv.Atoi(text)
		if err != nil || slots < 1 || slots > maxSlots {
			wrong("PLUGIN_SLOTS", "%q is not a number from 1 to %d", text, maxSlots)
		}
		options.Slots = slots
	}
	if len(faults) > 0 {
		return Options{}, &SettingsError{faults}
	}
	return options.withDefaults(), nil
}

func (o Options) withDefaults() Options {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&o.AgentdURL, defaultURL)
	set(&o.Listen, "127.0.0.1:0")
	set((*string)(&o.Mode), string(Direct))
	if o.Slots <= 0 {
		o.Slots = defaultCalls
	}
	if o.MaxConcurrentCalls <= 0 {
		o.MaxConcurrentCalls = defaultCalls
	}
	if o.Mode == Relay {
		o.MaxConcurrentCalls = o.Slots
	}
	if o.DrainTimeout <= 0 {
		o.DrainTimeout = defaultDrain
	}
	return o
}

// isSupervised tells whether a supervisor holds the other end of stdin, so that its end means that the
// parent is gone.
func isSupervised() bool { return os.Getenv("AGENTD_SUPERVISED") == "1" }

// splitURL checks a URL of agentd.
func splitURL(text string) (*url.URL, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Hostname() == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, fmt.Errorf("%q is not http://HOST:PORT or https://HOST:PORT", text)
	}
	return parsed, nil
}

// advertised is what agentd is told to dial: an explicit setting, the very address when it names one
// host, else the port alone, for agentd to put the address before that it sees us come from.
func advertised(setting string, bound net.Addr, isSecure bool) string {
	place := setting
	if place == "" {
		place = bound.String()
		if tcp, isTCP := bound.(*net.TCPAddr); isTCP && tcp.IP.IsUnspecified() {
			place = fmt.Sprintf(":%d", tcp.Port)
		}
	}
	if isSecure && !strings.HasPrefix(place, "https://") {
		return "https://" + place
	}
	return place
}
