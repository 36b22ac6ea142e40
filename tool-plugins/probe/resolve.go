package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"agentd.dev/sdk/go/plugin"
	// BSD-3-Clause. Asks a resolver and shows its answer as it is: Go's own net.Resolver tells neither
	// NXDOMAIN from an empty answer nor SERVFAIL from a refusal, and not the aliases on the way.
	"github.com/miekg/dns"
)

const (
	// askTimeout is how long one resolver may take for one question.
	askTimeout = 2 * time.Second
	// maxResolvers are asked one after another.
	maxResolvers = 3
)

// Why a name does not resolve.
const (
	whyNXDOMAIN = "nxdomain"
	whySERVFAIL = "servfail"
	whyTimeout  = "timeout"
	whyRefused  = "refused"
	whyEmpty    = "no_address"
	whyFault    = "fault"
)

// resolved is what the resolvers say of a name.
type resolved struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Aliases are the names that CNAME records led through, in order.
	Aliases []string `json:"aliases,omitempty"`
	// Why is empty when there are addresses.
	Why      string  `json:"why,omitempty"`
	Resolver string  `json:"resolver,omitempty"`
	Seconds  float64 `json:"latency_s"`
	// LeastTTL is how long the answer may be kept, in seconds.
	LeastTTL *uint32 `json:"ttl_s,omitempty"`
	said     string
}

// resolvers are those of the settings, or those of the system.
func (s Settings) resolvers() *dns.ClientConfig {
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		config = &dns.ClientConfig{Servers: []string{"127.0.0.1"}, Port: "53", Ndots: 1}
	}
	if len(s.Resolvers) > 0 {
		config = &dns.ClientConfig{Servers: s.Resolvers, Ndots: config.Ndots, Search: config.Search}
	}
	return config
}

// resolve asks for all addresses of a host. An address is its own answer.
func (s Settings) resolve(ctx context.Context, t target) resolved {
	if t.address.IsValid() {
		return resolved{Name: t.host, Addresses: []netip.Addr{t.address}}
	}
	began := time.Now()
	config := s.resolvers()
	var answer resolved
	for _, name := range config.NameList(t.host) {
		answer = s.resolveName(ctx, config, name)
		// Only a name that is not there is looked for under the next suffix.
		if answer.Why != whyNXDOMAIN && answer.Why != whyEmpty {
			break
		}
	}
	answer.Seconds = time.Since(began).Seconds()
	return answer
}

func (s Settings) resolveName(ctx context.Context, config *dns.ClientConfig, name string) resolved {
	answer := resolved{Name: strings.TrimSuffix(name, ".")}
	kinds := []uint16{dns.TypeA, dns.TypeAAAA}
	answers := make([]resolved, len(kinds))
	done := make(chan int, len(kinds))
	for n, kind := range kinds {
		go func() {
			answers[n] = s.ask(ctx, config, name, kind)
			done <- n
		}()
	}
	for range kinds {
		<-done
	}
	for _, one := range answers {
		answer.Addresses = append(answer.Addresses, one.Addresses...)
		if len(one.Aliases) > len(answer.Aliases) {
			answer.Aliases = one.Aliases
		}
		if one.LeastTTL != nil && (answer.LeastTTL == nil || *one.LeastTTL < *answer.LeastTTL) {
			answer.LeastTTL = one.LeastTTL
		}
		answer.Resolver = one.Resolver
	}
	if len(answer.Addresses) == 0 {
		// A fault tells more than an empty answer to the other question.
		worst := slices.MaxFunc(answers, func(a, b resolved) int { return rank(a.Why) - rank(b.Why) })
		answer.Why, answer.said, answer.Resolver = worst.Why, worst.said, worst.Resolver
	}
	return answer
}

func rank(why string) int {
	return slices.Index([]string{whyEmpty, whyNXDOMAIN, whyRefused, whySERVFAIL, whyFault, whyTimeout}, why)
}

// ask asks the resolvers one question, the next where one gives no answer that counts.
func (s Settings) ask(ctx context.Context, config *dns.ClientConfig, name string, kind uint16) resolved {
	question := new(dns.Msg).SetQuestion(name, kind)
	question.SetEdns0(1232, false)
	var answer resolved
	for _, server := range config.Servers[:min(len(config.Servers), maxResolvers)] {
		if config.Port != "" {
			server = net.JoinHostPort(server, config.Port)
		}
		answer = s.exchange(ctx, question, server)
		if answer.Why == "" || answer.Why == whyNXDOMAIN || answer.Why == whyEmpty {
			return answer
		}
	}
	return answer
}

func (s Settings) exchange(ctx context.Context, question *dns.Msg, server string) resolved {
	answer := resolved{Resolver: server}
	limit := orElse(s.ResolverTimeout, askTimeout)
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, _, err := (&dns.Client{Timeout: limit}).ExchangeContext(within, question, server)
	if err == nil && reply.Truncated {
		reply, _, err = (&dns.Client{Net: "tcp", Timeout: limit}).ExchangeContext(within, question, server)
	}
	if err != nil {
		answer.said, answer.Why = err.Error(), whyFault
		if isTimeout(err) {
			answer.Why = whyTimeout
		}
		return answer
	}
	answer.said = dns.RcodeToString[reply.Rcode]
	switch reply.Rcode {
	case dns.RcodeSuccess:
		answer.read(reply.Answer)
	case dns.RcodeNameError:
		answer.Why = whyNXDOMAIN
	case dns.RcodeServerFailure:
		answer.Why = whySERVFAIL
	case dns.RcodeRefused:
		answer.Why = whyRefused
	default:
		answer.Why = whyFault
	}
	return answer
}

func (r *resolved) read(records []dns.RR) {
	r.Why = whyEmpty
	for _, record := range records {
		if ttl := record.Header().Ttl; r.LeastTTL == nil || ttl < *r.LeastTTL {
			r.LeastTTL = &ttl
		}
		var ip net.IP
		switch record := record.(type) {
		case *dns.CNAME:
			r.Aliases = append(r.Aliases, strings.ToLower(strings.TrimSuffix(record.Target, ".")))
		case *dns.A:
			ip = record.A
		case *dns.AAAA:
			ip = record.AAAA
		}
		if address, isAddress := netip.AddrFromSlice(ip); isAddress {
			r.Addresses, r.Why = append(r.Addresses, address.Unmap()), ""
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// observe tells what was seen of a name.
func (r resolved) observe(t target) plugin.Observation {
	observation := plugin.Observation{
		Subject: t.entity(), Value: new(r.Seconds), Unit: "s", End: time.Now(),
		Attributes: map[string]string{"host": t.host, "resolver": r.Resolver},
	}
	if r.Why == "" {
		observation.Signal = "probe.resolved"
		observation.Statement = t.host + " resolves to " + joined(r.Addresses)
		return observation
	}
	observation.Signal = "probe.dns_failed"
	observation.Attributes["why"] = r.Why
	observation.Quote = r.said
	observation.Statement = t.host + " does not resolve: " + map[string]string{
		whyNXDOMAIN: "no such name (NXDOMAIN)", whySERVFAIL: "the resolver failed (SERVFAIL)", whyTimeout: "no answer in time",
		whyRefused: "the resolver refuses to answer", whyEmpty: "the name has no address", whyFault: "the resolver cannot be asked",
	}[r.Why]
	return observation
}

func joined(addresses []netip.Addr) string {
	texts := make([]string, len(addresses))
	for i, address := range addresses {
		texts[i] = address.String()
	}
	return strings.Join(texts, ", ")
}
