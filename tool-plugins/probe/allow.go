package probe

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"agentd.dev/sdk/go/plugin"
)

// allowVariable is the setting that every refusal names.
const allowVariable = "PROBE_ALLOW"

// Allow says what may be probed. The zero value allows nothing.
type Allow struct {
	names    []namePattern
	networks []network
}

type namePattern struct {
	// suffix begins with a dot where any name below it is meant; otherwise it is the very name.
	suffix string
	port   uint16
}

type network struct {
	prefix netip.Prefix
	port   uint16
}

// Places that are refused unless an entry names them exactly: who answers there is this machine, its
// cloud's keeper of credentials, or nobody.
var refusedPlaces = map[string]string{
	"0.0.0.0/8": "no address of a server", "127.0.0.0/8": "this machine itself", "169.254.0.0/16": "link-local, where clouds keep their metadata",
	"100.100.100.200/32": "a cloud's metadata", "168.63.129.16/32": "a cloud's own services", "192.0.0.192/32": "a cloud's metadata",
	"224.0.0.0/4": "multicast", "240.0.0.0/4": "reserved",
	"::/128": "no address of a server", "::1/128": "this machine itself", "fe80::/10": "link-local", "fd00:ec2::254/128": "a cloud's metadata",
	"fd20:ce::254/128": "a cloud's metadata", "ff00::/8": "multicast",
}

// Prefixes whose addresses lead to an IPv4 address within them, which counts in their place.
var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
	sixToIV = netip.MustParsePrefix("2002::/16")
)

// ParseAllow reads a list of names and networks, comma between them: "*.example.com",
// "checkout.shop.svc:8080", "10.0.0.0/8", "[fd00::/8]:443". All faults are told at once.
func ParseAllow(text string) (Allow, error) {
	var allow Allow
	var faults []string
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if entry == "" {
			continue
		}
		if err := allow.add(entry); err != nil {
			faults = append(faults, fmt.Sprintf("%q %v", entry, err))
		}
	}
	if len(faults) > 0 {
		return Allow{}, &plugin.SettingsError{Faults: []string{allowVariable + ": " + strings.Join(faults, "; ")}}
	}
	return allow, nil
}

func (a *Allow) add(entry string) error {
	if prefix, err := parseNetwork(entry); err == nil {
		a.networks = append(a.networks, network{prefix, 0})
		return nil
	}
	place, port := entry, uint16(0)
	if colon := strings.LastIndexByte(entry, ':'); colon >= 0 {
		number, err := strconv.ParseUint(entry[colon+1:], 10, 16)
		if err != nil || number == 0 {
			return fmt.Errorf("has no port from 1 to 65535 behind its colon (networks of IPv6 with a port go in brackets)")
		}
		place, port = entry[:colon], uint16(number)
	}
	if prefix, err := parseNetwork(strings.TrimSuffix(strings.TrimPrefix(place, "["), "]")); err == nil {
		a.networks = append(a.networks, network{prefix, port})
		return nil
	}
	suffix := strings.TrimPrefix(place, "*")
	if suffix == "" || suffix == "." || suffix != place && suffix[0] != '.' || !isName(strings.TrimPrefix(suffix, ".")) {
		return fmt.Errorf("is neither a name such as checkout.shop.svc or *.example.com nor a network such as 10.0.0.0/8")
	}
	a.names = append(a.names, namePattern{suffix, port})
	return nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err
}

// isName tells whether text is a host name in ASCII.
func isName(text string) bool {
	if text == "" || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// IsEmpty tells whether nothing may be probed.
func (a Allow) IsEmpty() bool { return len(a.names)+len(a.networks) == 0 }

// host refuses a name that is on no entry, before anything is sent. Addresses are looked at by address.
func (a Allow) host(host string, port uint16) *plugin.Failure {
	if a.IsEmpty() {
		return plugin.NewFailure(plugin.Config, "NOTHING_ALLOWED",
			"nothing may be probed: set %s to the names and networks that may, such as *.example.com,10.0.0.0/8:443", allowVariable)
	}
	for _, pattern := range a.names {
		isMeant := host == pattern.suffix || pattern.suffix[0] == '.' && strings.HasSuffix(host, pattern.suffix)
		if isMeant && (pattern.port == 0 || pattern.port == port) {
			return nil
		}
	}
	return refusedAt("NOT_ALLOWED", "%s port %d is on no entry of %s: ask about what is, or have it added", host, port, allowVariable)
}

// address refuses an address, given or resolved. Where the list has networks, it must lie in one.
func (a Allow) address(address netip.Addr, port uint16, isGiven bool) *plugin.Failure {
	if a.IsEmpty() {
		return a.host("", port)
	}
	real := embedded(address)
	for text, what := range refusedPlaces {
		place := netip.MustParsePrefix(text)
		if place.Contains(real) && !a.namesExactly(place, real, port) {
			return refusedAt("ADDRESS_REFUSED", "%s is %s: it is not probed unless an entry of %s names that network itself", address, what, allowVariable)
		}
	}
	if len(a.networks) == 0 && !isGiven {
		return nil
	}
	for _, network := range a.networks {
		if network.prefix.Contains(real) && (network.port == 0 || network.port == port) {
			return nil
		}
	}
	return refusedAt("NOT_ALLOWED", "%s port %d lies in no network of %s: ask about what does, or have it added", address, port, allowVariable)
}

func (a Allow) namesExactly(place netip.Prefix, address netip.Addr, port uint16) bool {
	for _, network := range a.networks {
		isWithin := network.prefix.Bits() >= place.Bits() && place.Contains(network.prefix.Addr())
		if isWithin && network.prefix.Contains(address) && (network.port == 0 || network.port == port) {
			return true
		}
	}
	return false
}

// embedded gives the address that packets end at: IPv4 within IPv6 is told apart from it nowhere else.
func embedded(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	bytes := address.As16()
	switch {
	case nat64.Contains(address):
		return netip.AddrFrom4([4]byte(bytes[12:16]))
	case sixToIV.Contains(address):
		return netip.AddrFrom4([4]byte(bytes[2:6]))
	default:
		return address
	}
}

func refusedAt(reason, format string, args ...any) *plugin.Failure {
	failure := plugin.InvalidArgument("arguments.host", format, args...)
	failure.Reason = reason
	return failure
}
