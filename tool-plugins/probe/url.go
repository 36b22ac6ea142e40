package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"agentd.dev/sdk/go/plugin"
)

const (
	maxRedirects = 5
	// maxBody is how much of an answer is read to tell its size.
	maxBody = 4 << 20
	// slow is when an answer is too late to be called usual.
	slow = 3 * time.Second
)

// fetched is one request and its answer; what the answer says is not kept.
type fetched struct {
	URL     string  `json:"url"`
	Address string  `json:"address,omitempty"`
	Status  int     `json:"status,omitempty"`
	DNS     float64 `json:"dns_s"`
	Connect float64 `json:"connect_s"`
	TLS     float64 `json:"tls_s,omitempty"`
	// FirstByte is from the request to the first byte of the answer.
	FirstByte float64 `json:"first_byte_s,omitempty"`
	Total     float64 `json:"total_s"`
	Bytes     int64   `json:"body_bytes"`
	// More says that the body was longer than what is read.
	More     bool   `json:"body_is_longer,omitempty"`
	Type     string `json:"content_type,omitempty"`
	Location string `json:"location,omitempty"`
	// Fault says why there is no answer.
	Fault string `json:"fault,omitempty"`
	said  string
}

// page is one URL as it was read and found to be allowed by its name.
type page struct {
	url    *url.URL
	target target
}

func (s Settings) readPage(text string) (page, *plugin.Failure) {
	parsed, err := url.Parse(text)
	if err != nil {
		return page{}, plugin.InvalidArgument("arguments.url", "is no URL: %v", errors.Unwrap(err))
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "" {
		return page{}, plugin.InvalidArgument("arguments.url", "must begin with http:// or https:// and a host")
	}
	if parsed.User != nil {
		return page{}, plugin.InvalidArgument("arguments.url", "must hold no user and no password")
	}
	port := map[string]int{"http": 80, "https": 443}[parsed.Scheme]
	if text := parsed.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil {
			return page{}, plugin.InvalidArgument("arguments.url", "has no port behind its colon")
		}
	}
	target, failure := s.readTarget(bracketed(parsed.Hostname()), port)
	if failure != nil {
		for n := range failure.Violations {
			failure.Violations[n].Field = "arguments.url"
		}
	}
	return page{parsed, target}, failure
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// fetch asks for one page and tells what was seen on each step of the way.
func (s Settings) fetch(ctx context.Context, p page, method string) (answer fetched, seen []plugin.Observation, failure *plugin.Failure) {
	began := time.Now()
	found, way, failure := s.reach(ctx, p.target)
	answer = fetched{URL: p.url.String(), Address: way.Address, DNS: found.Seconds, Connect: way.Seconds}
	defer func() { answer.Total = time.Since(began).Seconds() }()
	if failure != nil {
		return answer, nil, failure
	}
	if found.Why != "" {
		answer.Fault = "dns_" + found.Why
		return answer, []plugin.Observation{found.observe(p.target)}, nil
	}
	if way.Why != "" {
		answer.Fault = "connect_" + way.Why
		return answer, []plugin.Observation{way.observe(p.target)}, nil
	}
	defer way.conn.Close()
	conn := way.conn
	if p.url.Scheme == "https" {
		secured, shown := s.handshake(ctx, p.target, conn, "http/1.1")
		answer.TLS = shown.Seconds
		if secured == nil || len(shown.Faults) > 0 {
			// As any client would, it says nothing to a server that cannot show who it is.
			answer.Fault = "tls"
			return answer, shown.observe(p.target), nil
		}
		conn = secured
	}
	if err := answer.ask(ctx, p, method, conn); err != nil {
		answer.Fault, answer.said = "http_"+whyOf(err), err.Error()
	}
	answer.Total = time.Since(began).Seconds()
	return answer, []plugin.Observation{answer.observe(p.target)}, nil
}

func (f *fetched) ask(ctx context.Context, p page, method string, conn net.Conn) error {
	request, err := http.NewRequestWithContext(ctx, method, p.url.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "agentd-probe/"+version)
	request.Close = true
	// The connection is there; nothing is dialled again.
	given := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	transport := &http.Transport{DialContext: given, DialTLSContext: given, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 256 << 10}
	asked := time.Now()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	f.FirstByte = time.Since(asked).Seconds()
	f.Status, f.Type, f.Location = response.StatusCode, response.Header.Get("Content-Type"), response.Header.Get("Location")
	f.Bytes, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxBody))
	if f.Bytes == maxBody {
		f.More = true
		return nil
	}
	return err
}

func (f fetched) observe(t target) plugin.Observation {
	observation := plugin.Observation{
		Subject: t.entity(), Value: new(f.Total), Unit: "s", End: time.Now(), Quote: f.said,
		Attributes: map[string]string{"url": f.URL, "status": strconv.Itoa(f.Status), "address": f.Address},
	}
	switch {
	case f.Fault != "":
		observation.Signal = "probe.http_failed"
		observation.Attributes["why"] = f.Fault
		observation.Statement = fmt.Sprintf("%s is connected to and does not answer as HTTP does (%s)", t, f.Fault)
	case f.Status >= 500:
		observation.Signal, observation.Statement = "probe.http_failed", fmt.Sprintf("%s answers %d", t, f.Status)
		observation.Attributes["why"] = "status"
	case f.Total >= slow.Seconds():
		observation.Signal, observation.Statement = "probe.http_slow", fmt.Sprintf("%s answers %d only after %.1f s", t, f.Status, f.Total)
	case f.Status >= 400:
		observation.Signal, observation.Statement = "probe.http_turned_away", fmt.Sprintf("%s answers %d", t, f.Status)
	default:
		observation.Signal, observation.Statement = "probe.http_answered", fmt.Sprintf("%s answers %d after %.0f ms", t, f.Status, f.Total*1000)
	}
	return observation
}
