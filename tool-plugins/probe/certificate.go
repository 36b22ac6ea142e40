package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	"agentd.dev/sdk/go/plugin"
)

const (
	// handshakeTimeout is how long TLS may take once connected.
	handshakeTimeout = 5 * time.Second
	// expiringWithin is when an end is near enough to tell.
	expiringWithin = 21 * 24 * time.Hour
	maxNames       = 20
)

// presented is what a server shows of itself by TLS, and what is wrong with it.
type presented struct {
	Protocol  string    `json:"protocol,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	Names     []string  `json:"names,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	DaysLeft  float64   `json:"days_left"`
	// Faults are why a careful client refuses it: expired, not_yet_valid, wrong_name, self_signed,
	// unknown_authority, chain_expired, chain.
	Faults  []string `json:"faults,omitempty"`
	Seconds float64  `json:"latency_s"`
	// HandshakeFault says why there was nothing to look at.
	HandshakeFault string `json:"handshake_fault,omitempty"`
	said           string
}

// handshake speaks TLS on a connection, whatever the certificate, and judges the certificate after it:
// a client that refused it would not see what is wrong.
func (s Settings) handshake(ctx context.Context, t target, conn net.Conn, protocols ...string) (*tls.Conn, presented) {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, NextProtos: protocols}
	if !t.address.IsValid() {
		config.ServerName = t.host
	}
	within, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	began := time.Now()
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(within); err != nil {
		why := whyOf(err)
		if why == "fault" {
			why = "refused by the server, or no TLS is spoken there"
		}
		return nil, presented{HandshakeFault: why, said: err.Error(), Seconds: time.Since(began).Seconds()}
	}
	state := secured.ConnectionState()
	seen := s.judge(t, state.PeerCertificates, time.Now())
	seen.Protocol, seen.Seconds = tls.VersionName(state.Version), time.Since(began).Seconds()
	return secured, seen
}

// judge says what is wrong with a chain; its first certificate is the server's own.
func (s Settings) judge(t target, chain []*x509.Certificate, now time.Time) presented {
	if len(chain) == 0 {
		return presented{HandshakeFault: "the server shows no certificate"}
	}
	leaf := chain[0]
	seen := presented{
		Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		DaysLeft: math.Round(leaf.NotAfter.Sub(now).Hours()/24*10) / 10,
	}
	seen.Names = append(seen.Names, leaf.DNSNames...)
	for _, address := range leaf.IPAddresses {
		seen.Names = append(seen.Names, address.String())
	}
	seen.Names = seen.Names[:min(len(seen.Names), maxNames)]
	if now.After(leaf.NotAfter) {
		seen.Faults = append(seen.Faults, "expired")
	} else if now.Before(leaf.NotBefore) {
		seen.Faults = append(seen.Faults, "not_yet_valid")
	}
	if err := leaf.VerifyHostname(t.host); err != nil {
		seen.Faults, seen.said = append(seen.Faults, "wrong_name"), err.Error()
	}
	if fault, said := s.chainFault(chain, now); fault != "" {
		seen.Faults, seen.said = append(seen.Faults, fault), said
	}
	return seen
}

// chainFault says what is wrong above the server's own certificate: its own dates are left out of it.
func (s Settings) chainFault(chain []*x509.Certificate, now time.Time) (fault, said string) {
	leaf := chain[0]
	at := now
	if now.After(leaf.NotAfter) {
		at = leaf.NotAfter
	} else if now.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	between := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: s.Roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return "", ""
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "chain_expired", err.Error()
	case errors.As(err, new(x509.UnknownAuthorityError)) && isSelfSigned(leaf):
		return "self_signed", err.Error()
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "unknown_authority", err.Error()
	default:
		return "chain", err.Error()
	}
}

func isSelfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// observe tells what is wrong with what was shown, or that nothing is.
func (p presented) observe(t target) []plugin.Observation {
	base := plugin.Observation{Subject: t.entity(), End: time.Now(), Attributes: map[string]string{"source": "probe", "host": t.String()}}
	if p.HandshakeFault != "" {
		base.Signal, base.Quote = "probe.tls_failed", p.said
		base.Attributes["why"] = p.HandshakeFault
		base.Statement = fmt.Sprintf("no TLS with %s: %s", t, p.HandshakeFault)
		return []plugin.Observation{base}
	}
	base.Attributes["not_before"], base.Attributes["not_after"] = p.NotBefore.UTC().Format(time.RFC3339), p.NotAfter.UTC().Format(time.RFC3339)
	base.Attributes["names"], base.Attributes["issuer"], base.Attributes["protocol"] = strings.Join(p.Names, ","), p.Issuer, p.Protocol
	var all []plugin.Observation
	add := func(signal, why, statement string, start time.Time, quote string) {
		one := base
		one.Signal, one.Statement, one.Start, one.Quote = signal, statement, start, quote
		one.Attributes = map[string]string{}
		for key, value := range base.Attributes {
			one.Attributes[key] = value
		}
		if why != "" {
			one.Attributes["why"] = why
		}
		all = append(all, one)
	}
	for _, fault := range p.Faults {
		switch fault {
		case "expired":
			add("certificate.expired", fault, fmt.Sprintf("%s serves a certificate that ended on %s", t, day(p.NotAfter)), p.NotAfter, "")
		case "not_yet_valid":
			add("certificate.expired", fault, fmt.Sprintf("%s serves a certificate that begins only on %s", t, day(p.NotBefore)), time.Time{}, "")
		case "wrong_name":
			add("probe.certificate_untrusted", fault, fmt.Sprintf("%s serves a certificate for other names: %s", t, strings.Join(p.Names, ", ")), time.Time{}, p.said)
		default:
			add("probe.certificate_untrusted", fault, fmt.Sprintf("%s serves a certificate that is not trusted (%s), issued by %s", t, fault, p.Issuer), time.Time{}, p.said)
		}
	}
	if len(all) > 0 {
		return all
	}
	if left := time.Until(p.NotAfter); left < expiringWithin {
		add("probe.certificate_expiring", "", fmt.Sprintf("the certificate of %s ends on %s, in %.1f days", t, day(p.NotAfter), p.DaysLeft), time.Time{}, "")
		all[0].Value, all[0].Unit = new(p.DaysLeft), "d"
		return all
	}
	add("certificate.valid", "", fmt.Sprintf("%s serves a certificate that is valid until %s", t, day(p.NotAfter)), time.Time{}, "")
	return all
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
