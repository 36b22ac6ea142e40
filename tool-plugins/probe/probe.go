// Package probe is agentd's plugin that looks from outside: does a name resolve, does a port take
// connections, what certificate is served, what does a URL answer. It only reads, and only what its
// settings allow: neither a model nor an alert can make it knock elsewhere, also not by a name that
// resolves to another place or by a redirect.
package probe

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"agentd.dev/sdk/go/plugin"
	"github.com/google/jsonschema-go/jsonschema"
)

const version = "1.0.0"

// HostArguments name a place.
type HostArguments struct {
	Host string `json:"host" jsonschema:"Host name or address, with or without a port behind a colon, such as payments.example.com or checkout.shop.svc:8080."`
	Port int    `json:"port,omitempty" jsonschema:"Port; 443 unless given here or with the host."`
}

// NameArguments name a host.
type NameArguments struct {
	Host string `json:"host" jsonschema:"Host name, such as payments.example.com."`
}

// PageArguments name a page.
type PageArguments struct {
	URL    string `json:"url" jsonschema:"URL that begins with http:// or https://, without user and password."`
	Method string `json:"method,omitempty" jsonschema:"GET or HEAD; GET unless given."`
}

// Signals of the catalogue after which a look from outside is worth it.
var (
	ofNames        = []string{"log.dns_failure", "log.unknown_host", "dependency.failing"}
	ofConnections  = []string{"log.connection_refused", "log.timeout", "log.upstream_error", "dependency.failing", "dependency.slow"}
	ofCertificates = []string{"log.tls_failure", "certificate.expired", "dependency.failing"}
	ofAnswers      = []string{"log.upstream_error", "dependency.failing", "dependency.slow"}
)

// New gives the plugin.
func New(settings Settings) *plugin.Plugin {
	p := plugin.New("probe", version).Title("Probes from outside").
		Signal("resolved", "a name resolves, as the plugin's resolver says; value = latency in s", plugin.Health).
		Signal("dns_failed", "a name does not resolve; attributes: why (nxdomain | servfail | timeout | refused | no_address | fault), resolver", plugin.Harm).
		Signal("connected", "a port takes connections; value = latency in s; attributes: address", plugin.Health).
		Signal("unreachable", "a port takes no connection from where the plugin runs; attributes: why (refused | timeout | unreachable | reset | fault), address", plugin.Harm).
		Signal("tls_failed", "no TLS handshake comes about; attributes: why", plugin.Harm).
		Signal("certificate_untrusted", "serves a certificate that careful clients refuse; attributes: why (wrong_name | self_signed | unknown_authority | chain_expired | chain), names, issuer", plugin.Harm).
		Signal("certificate_expiring", "serves a certificate that ends within 21 days; value = days left; attributes: not_after, names, issuer", plugin.Harm).
		Signal("http_failed", "answers with a server error, or not as HTTP does; value = seconds; attributes: why, status, url", plugin.Harm).
		Signal("http_slow", "answers only after 3 s or more; value = seconds; attributes: status, url", plugin.Harm).
		Signal("http_turned_away", "answers with a client error, which may be right for who asks without credentials; attributes: status, url", plugin.Neutral).
		Signal("http_answered", "answers, and soon; value = seconds; attributes: status, url", plugin.Health)
	addName(p, settings)
	addConnection(p, settings)
	addCertificate(p, settings)
	addPage(p, settings)
	return p
}

// about asks a tool about outside hosts, and about Services by the name they have in the cluster.
func about(tool *plugin.Tool, signals []string, template string, emits ...string) {
	outside, service := fmt.Sprintf(template, "{name}"), fmt.Sprintf(template, "{name}.{namespace}.svc")
	tool.Applies(
		plugin.After(signals, []string{"External"}, outside).Emits(emits...),
		plugin.After(signals, []string{"Service"}, service).Emits(emits...),
	)
}

func addName(p *plugin.Plugin, s Settings) {
	tool := plugin.ReadOnly(p, "resolve", "Asks the resolver for the addresses of a host, and tells a name that does not exist from a resolver that fails or is silent.",
		func(ctx context.Context, _ *plugin.Call, args NameArguments) (*plugin.Output, error) {
			target, failure := s.readTarget(args.Host, 443)
			if failure != nil && s.anyPort(target) {
				failure = nil
			}
			if failure != nil {
				return nil, failure
			}
			found := s.resolve(ctx, target)
			if failure := cutOff(ctx); failure != nil && found.Why != "" {
				return nil, failure
			}
			seen := found.observe(target)
			return &plugin.Output{Result: found, Summary: seen.Statement, Observations: []plugin.Observation{seen}}, nil
		})
	tool.Title("Resolve a name").Example("this machine", `{"host":"localhost"}`).TypicalLatency(50*time.Millisecond).Timeout(15*time.Second).Label("domain", "network")
	about(tool, ofNames, `{"host":"%s"}`, "probe.resolved", "probe.dns_failed")
}

// anyPort tells whether a name is allowed with some port: looking it up knocks at none.
func (s Settings) anyPort(t target) bool {
	return slices.ContainsFunc(s.Allow.names, func(pattern namePattern) bool {
		return t.host != "" && !t.address.IsValid() && s.Allow.host(t.host, pattern.port) == nil
	})
}

func addConnection(p *plugin.Plugin, s Settings) {
	tool := plugin.ReadOnly(p, "connect", "Connects to a port over TCP and hangs up, and tells refused from silent from no way there.",
		func(ctx context.Context, _ *plugin.Call, args HostArguments) (*plugin.Output, error) {
			target, found, way, failure := s.knock(ctx, args)
			if failure != nil {
				return nil, failure
			}
			seen := found.observe(target)
			if found.Why == "" {
				seen = way.observe(target)
			}
			if way.conn != nil {
				_ = way.conn.Close()
			}
			result := map[string]any{"target": target.String(), "dns": found, "tcp": way}
			return &plugin.Output{Result: result, Summary: seen.Statement, Observations: []plugin.Observation{seen}}, nil
		})
	tool.Title("Connect to a port").Example("a port of this machine", `{"host":"localhost:443"}`).TypicalLatency(200*time.Millisecond).Label("domain", "network")
	about(tool, ofConnections, `{"host":"%s"}`, "probe.connected", "probe.unreachable", "probe.dns_failed")
}

func (s Settings) knock(ctx context.Context, args HostArguments) (target, resolved, connected, *plugin.Failure) {
	port := args.Port
	if port == 0 {
		port = 443
	}
	target, failure := s.readTarget(args.Host, port)
	if failure != nil {
		return target, resolved{}, connected{}, failure
	}
	found, way, failure := s.reach(ctx, target)
	return target, found, way, failure
}

func addCertificate(p *plugin.Plugin, s Settings) {
	tool := plugin.ReadOnly(p, "check_certificate", "Looks at the certificate that a server presents: until when, for which names, by whom, and whether clients trust it. Says what is wrong where they do not.",
		func(ctx context.Context, _ *plugin.Call, args HostArguments) (*plugin.Output, error) {
			target, found, way, failure := s.knock(ctx, args)
			switch {
			case failure != nil:
				return nil, failure
			case found.Why != "":
				seen := found.observe(target)
				return &plugin.Output{Result: map[string]any{"dns": found}, Summary: seen.Statement, Observations: []plugin.Observation{seen}}, nil
			case way.Why != "":
				seen := way.observe(target)
				return &plugin.Output{Result: map[string]any{"tcp": way}, Summary: seen.Statement, Observations: []plugin.Observation{seen}}, nil
			}
			defer way.conn.Close()
			_, shown := s.handshake(ctx, target, way.conn)
			seen := shown.observe(target)
			return &plugin.Output{Result: shown, Summary: seen[0].Statement, Observations: seen}, nil
		})
	tool.Title("Look at a server's certificate").Example("what this machine presents", `{"host":"localhost:443"}`).TypicalLatency(300*time.Millisecond).Label("domain", "network")
	about(tool, ofCertificates, `{"host":"%s"}`, "certificate.expired", "certificate.valid", "probe.certificate_untrusted",
		"probe.certificate_expiring", "probe.tls_failed", "probe.unreachable", "probe.dns_failed")
}

func addPage(p *plugin.Plugin, s Settings) {
	tool := plugin.ReadOnly(p, "check_url", "Asks for a URL and tells status, size and where the time went. What the answer says is not returned; redirects are followed only to what may be probed.",
		func(ctx context.Context, _ *plugin.Call, args PageArguments) (*plugin.Output, error) {
			next, failure := s.readPage(args.URL)
			if failure != nil {
				return nil, failure
			}
			method := args.Method
			if method == "" {
				method = http.MethodGet
			}
			return s.follow(ctx, next, method)
		})
	tool.Title("Ask for a URL").Example("a page of this machine", `{"url":"http://localhost/"}`).TypicalLatency(500*time.Millisecond).Label("domain", "network").Narrow(func(schema *jsonschema.Schema) {
		schema.Properties["method"].Enum = []any{http.MethodGet, http.MethodHead}
	})
	about(tool, ofAnswers, `{"url":"https://%s/"}`, "probe.http_answered", "probe.http_failed", "probe.http_slow", "probe.http_turned_away",
		"probe.unreachable", "probe.dns_failed", "probe.tls_failed", "certificate.expired", "probe.certificate_untrusted")
}

// follow asks for a page and for those that it leads to. Each is looked at as the first was; one that
// may not be probed is a gap, not an answer.
func (s Settings) follow(ctx context.Context, next page, method string) (*plugin.Output, error) {
	var steps []fetched
	output := &plugin.Output{}
	for {
		answer, seen, failure := s.fetch(ctx, next, method)
		if failure != nil && len(steps) == 0 {
			return nil, failure
		}
		if failure != nil {
			output.Gaps = append(output.Gaps, plugin.Gap{Subject: "redirect to " + next.url.Redacted(), Why: failure})
			break
		}
		steps, output.Observations, output.Summary = append(steps, answer), seen, seen[0].Statement
		if answer.Status < 300 || answer.Status > 399 || answer.Location == "" {
			break
		}
		to, err := next.url.Parse(answer.Location)
		if err != nil {
			break
		}
		gap := func(why error) {
			output.Gaps = append(output.Gaps, plugin.Gap{Subject: "redirect to " + to.Redacted(), Why: why})
		}
		if len(steps) > maxRedirects {
			gap(plugin.External(next.target.host, "TOO_MANY_REDIRECTS", "%d redirects were followed, no more are", maxRedirects))
			break
		}
		if next, failure = s.readPage(to.String()); failure != nil {
			gap(failure)
			break
		}
	}
	output.Result = map[string]any{"requests": steps}
	return output, nil
}
