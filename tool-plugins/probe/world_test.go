package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"agentd.dev/sdk/go/plugintest"
	"github.com/miekg/dns"
)

// world is a small internet on the loopback: a resolver, and whoever listens.
type world struct {
	t        *testing.T
	resolver string
	mu       sync.Mutex
	// answers by name: addresses, one list for each time it is asked, the last again and again.
	answers map[string][]string
	asked   map[string]int
	ca      *authority
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, answers: map[string][]string{}, asked: map[string]int{}}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.resolver = packets.LocalAddr().String()
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(w.answer)}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = packets.Close() })
	w.ca = newAuthority(t)
	return w
}

// answer knows nxdomain, servfail and silent by their names, CNAMEs by "->", the rest by address.
func (w *world) answer(writer dns.ResponseWriter, question *dns.Msg) {
	asked := question.Question[0]
	name := strings.TrimSuffix(asked.Name, ".")
	reply := new(dns.Msg).SetReply(question)
	w.mu.Lock()
	lists := w.answers[name]
	isA := asked.Qtype == dns.TypeA
	n := w.asked[name]
	if isA {
		w.asked[name]++
	}
	w.mu.Unlock()
	switch {
	case name == "silent.test":
		return
	case name == "servfail.test":
		reply.Rcode = dns.RcodeServerFailure
	case name == "empty.test":
	case len(lists) == 0:
		reply.Rcode = dns.RcodeNameError
	case isA:
		for value := range strings.FieldsSeq(lists[min(n, len(lists)-1)]) {
			header := dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 30}
			if alias, isAlias := strings.CutPrefix(value, "->"); isAlias {
				header.Rrtype = dns.TypeCNAME
				reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: header, Target: alias + "."})
				continue
			}
			reply.Answer = append(reply.Answer, &dns.A{Hdr: header, A: net.ParseIP(value)})
		}
	}
	_ = writer.WriteMsg(reply)
}

func (w *world) name(name string, lists ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[name] = lists
}

func (w *world) timesAsked(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[name]
}

// plugin runs the plugin in this world.
func (w *world) plugin(allow string) *plugintest.Kit {
	w.t.Helper()
	list, err := ParseAllow(allow)
	if err != nil {
		w.t.Fatal(err)
	}
	return plugintest.New(w.t, New(Settings{Allow: list, Resolvers: []string{w.resolver}, Roots: w.ca.pool,
		ConnectTimeout: time.Second, ResolverTimeout: 300 * time.Millisecond}))
}

// connections are those that a listener took.
type connections struct {
	t       *testing.T
	address string
	taken   atomic.Int32
	ours    int32
}

// Load tells how many there were. A connection of its own comes behind them and is closed once it is
// counted, so that none is on its way any more.
func (c *connections) Load() int32 {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		c.t.Fatal("the listener says nothing")
	}
	c.ours++
	return c.taken.Load() - c.ours
}

// listen takes connections, counts them, and gives the port.
func (w *world) listen() (port string, taken *connections) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = listener.Close() })
	taken = &connections{t: w.t, address: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			taken.taken.Add(1)
			// What is sent is read, or closing would be a reset.
			go func() {
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
	return portOf(listener.Addr()), taken
}

func portOf(address net.Addr) string {
	_, port, _ := net.SplitHostPort(address.String())
	return port
}

// web serves pages, by TLS where there is a certificate, and gives its port.
func (w *world) web(certificate *tls.Certificate, pages http.HandlerFunc) string {
	server := httptest.NewUnstartedServer(pages)
	server.Config.ErrorLog = quiet
	if certificate == nil {
		server.Start()
	} else {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		server.StartTLS()
	}
	w.t.Cleanup(server.Close)
	return portOf(server.Listener.Addr())
}

// authority signs certificates.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, pool: x509.NewCertPool()}
	own := template("Test Authority", time.Now().Add(-400*24*time.Hour), time.Now().Add(time.Hour*24*400))
	own.IsCA, own.BasicConstraintsValid, own.KeyUsage = true, true, x509.KeyUsageCertSign
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.certificate = a.sign(own, own, a.key, &a.key.PublicKey).Leaf
	a.pool.AddCert(a.certificate)
	return a
}

func template(name string, from, to time.Time, names ...string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to, DNSNames: names}
}

func (a *authority) sign(wanted, parent *x509.Certificate, by *ecdsa.PrivateKey, key *ecdsa.PublicKey) tls.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, wanted, parent, key, by)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, Leaf: leaf}
}

// issue gives a certificate for names, from and to in days from now.
func (a *authority) issue(from, to float64, names ...string) *tls.Certificate {
	days := func(n float64) time.Time { return time.Now().Add(time.Duration(n * 24 * float64(time.Hour))) }
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	certificate := a.sign(template("server", days(from), days(to), names...), a.certificate, a.key, &key.PublicKey)
	certificate.PrivateKey = key
	return &certificate
}

// selfSigned gives a certificate that nobody vouches for.
func (a *authority) selfSigned(names ...string) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	own := template("server", time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour), names...)
	certificate := a.sign(own, own, key, &key.PublicKey)
	certificate.PrivateKey = key
	return &certificate
}
