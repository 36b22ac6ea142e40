package probe

import (
	"net/netip"
	"strconv"
	"strings"

	"agentd.dev/sdk/go/plugin"
)

// target is what a call asks about, as it was read and found to be allowed by its name.
type target struct {
	// host is lower-case, without a dot at its end; address is set where it is one.
	host    string
	address netip.Addr
	port    uint16
}

// readTarget takes "host", "host:port" or an address; port counts where the text has none.
func (s Settings) readTarget(text string, port int) (target, *plugin.Failure) {
	wrong := func(field, how string) (target, *plugin.Failure) {
		return target{}, plugin.InvalidArgument("arguments."+field, "%s", how)
	}
	text = strings.ToLower(strings.TrimSpace(text))
	if colon := strings.LastIndexByte(text, ':'); colon >= 0 && strings.Count(text, ":") == 1 || strings.HasPrefix(text, "[") && strings.HasSuffix(text[:max(colon, 0)], "]") {
		number, err := strconv.Atoi(text[colon+1:])
		if err != nil {
			return wrong("host", "has no port behind its colon")
		}
		text, port = text[:colon], number
	}
	if port < 1 || port > 65535 {
		return wrong("port", "must be from 1 to 65535")
	}
	text = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), ".")
	target := target{host: text, port: uint16(port)}
	if address, err := netip.ParseAddr(text); err == nil {
		target.address = address.Unmap()
		return target, s.Allow.address(target.address, target.port, true)
	}
	if !isName(text) {
		return wrong("host", "must be a host name in ASCII (punycode for others) or an address")
	}
	return target, s.Allow.host(text, target.port)
}

// String is what people read: the host, with the port where it says something.
func (t target) String() string {
	if strings.Contains(t.host, ":") {
		return "[" + t.host + "]:" + strconv.Itoa(int(t.port))
	}
	return t.host + ":" + strconv.Itoa(int(t.port))
}

// entity is the object that observations are about: a Service where the name is one's in a cluster,
// otherwise something outside.
func (t target) entity() plugin.Entity {
	parts := strings.Split(t.host, ".")
	if len(parts) >= 3 && parts[2] == "svc" && (len(parts) == 3 || strings.HasSuffix(t.host, ".svc.cluster.local")) {
		return plugin.Object("Service", parts[1], parts[0])
	}
	return plugin.Outside(t.host)
}
