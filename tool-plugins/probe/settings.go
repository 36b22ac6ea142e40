package probe

import (
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"agentd.dev/sdk/go/plugin"
)

// Settings say what may be probed, and whom to ask and to trust.
type Settings struct {
	Allow Allow
	// Resolvers are asked for names, ADDRESS:PORT; the system's when there are none.
	Resolvers []string
	// Roots vouch for certificates; the system's when nil.
	Roots *x509.CertPool
	// ConnectTimeout is how long one address may take, ResolverTimeout how long one resolver may for one
	// question; 5 s and 2 s unless set.
	ConnectTimeout, ResolverTimeout time.Duration
}

func orElse(given, otherwise time.Duration) time.Duration {
	if given > 0 {
		return given
	}
	return otherwise
}

// SettingsFromEnvironment reads PROBE_ALLOW, PROBE_RESOLVERS (addresses, comma between them, port 53
// unless given) and PROBE_CA_FILE (PEM, beside the system's authorities). The error is a
// *plugin.SettingsError with all that is wrong.
func SettingsFromEnvironment(variable func(string) string) (Settings, error) {
	var settings Settings
	var faults []string
	allow, err := ParseAllow(variable(allowVariable))
	if err != nil {
		faults = append(faults, err.(*plugin.SettingsError).Faults...)
	}
	settings.Allow = allow
	for text := range strings.SplitSeq(variable("PROBE_RESOLVERS"), ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if address, err := netip.ParseAddr(text); err == nil {
			text = net.JoinHostPort(address.String(), "53")
		} else if _, err := netip.ParseAddrPort(text); err != nil {
			faults = append(faults, "PROBE_RESOLVERS: "+text+" is not an address such as 10.96.0.10 or 127.0.0.1:5353")
		}
		settings.Resolvers = append(settings.Resolvers, text)
	}
	if path := variable("PROBE_CA_FILE"); path != "" {
		pem, err := os.ReadFile(path)
		roots, _ := x509.SystemCertPool()
		if roots == nil {
			roots = x509.NewCertPool()
		}
		if err != nil {
			faults = append(faults, "PROBE_CA_FILE: "+err.Error())
		} else if !roots.AppendCertsFromPEM(pem) {
			faults = append(faults, "PROBE_CA_FILE: "+path+" holds no certificate")
		}
		settings.Roots = roots
	}
	if len(faults) > 0 {
		return Settings{}, &plugin.SettingsError{Faults: faults}
	}
	return settings, nil
}
