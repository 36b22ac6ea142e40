package plugin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"agentd.dev/sdk/go/internal/fake"
	"agentd.dev/sdk/go/plugin"
	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

func insecureOption() grpc.DialOption {
	return grpc.WithTransportCredentials(insecure.NewCredentials())
}

// identity is a certificate that vouches for itself, as files.
type identity struct {
	cert, key string
	pair      tls.Certificate
	pool      *x509.CertPool
}

// identify writes a new certificate over the files in dir.
func identify(t *testing.T, dir, name string) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	wanted := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, wanted, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	i := identity{cert: filepath.Join(dir, name+".crt"), key: filepath.Join(dir, name+".key"), pool: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for path, content := range map[string][]byte{i.cert: certPEM, i.key: keyPEM} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if i.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	i.pool.AppendCertsFromPEM(certPEM)
	return i
}

func TestCallsAreTakenByTLSFromWhoShowsACertificateAndFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	served, caller, stranger := identify(t, dir, "served"), identify(t, dir, "caller"), identify(t, dir, "stranger")
	agentd := fake.New()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	agentd.Serve(listener)
	defer agentd.Stop()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- probes().Serve(ctx, plugin.Options{
			AgentdURL: "http://" + listener.Addr().String(), TLS: &plugin.TLSFiles{Cert: served.cert, Key: served.key, ClientCA: caller.cert},
		})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	seen, err := agentd.Await(registered(1))
	if err != nil {
		t.Fatal(err)
	}
	if endpoint := seen.Registers[0].GetDirect().GetEndpoint(); !strings.HasPrefix(endpoint, "https://127.0.0.1:") {
		t.Errorf("registered at %s", endpoint)
	}
	look := func(roots *x509.CertPool, shown *tls.Certificate) error {
		config := &tls.Config{RootCAs: roots}
		if shown != nil {
			config.Certificates = []tls.Certificate{*shown}
		}
		conn, err := agentd.Conn(grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			return err
		}
		defer conn.Close()
		within, cancel := context.WithTimeout(ctx, fake.Patience)
		defer cancel()
		_, err = toolv1.NewToolServiceClient(conn).GetCatalog(within, &toolv1.GetCatalogRequest{})
		return err
	}
	if err := look(served.pool, &caller.pair); err != nil {
		t.Errorf("who shows the right certificate is refused: %v", err)
	}
	if look(served.pool, nil) == nil || look(served.pool, &stranger.pair) == nil {
		t.Error("who shows none or another certificate is taken")
	}
	renewed := identify(t, dir, "served")
	if err := look(renewed.pool, &caller.pair); err != nil {
		t.Errorf("the certificate that was exchanged is not served: %v", err)
	}
	// Half written: what was before counts.
	if err := os.WriteFile(renewed.cert, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := look(renewed.pool, &caller.pair); err != nil {
		t.Errorf("a file that cannot be read is taken: %v", err)
	}
}

func TestAnAgentdWithTLSIsBelievedByItsAuthorityAndShownOurCertificate(t *testing.T) {
	dir := t.TempDir()
	daemon, own, stranger := identify(t, dir, "daemon"), identify(t, dir, "own"), identify(t, dir, "stranger")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	agentd := fake.New()
	agentd.Serve(listener, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{daemon.pair}, ClientCAs: own.pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})))
	defer agentd.Stop()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	// The file of the authority is another's at first; it is read again when it was exchanged.
	ca := filepath.Join(dir, "ca.crt")
	copyFile(t, stranger.cert, ca)
	go func() {
		ended <- probes().Serve(ctx, plugin.Options{
			AgentdURL: "https://" + listener.Addr().String(), CAFile: ca, Mode: plugin.Relay, TLS: &plugin.TLSFiles{Cert: own.cert, Key: own.key},
		})
	}()
	timer := time.AfterFunc(300*time.Millisecond, func() { copyFile(t, daemon.cert, ca) })
	defer timer.Stop()
	if _, err := agentd.Await(func(seen fake.Seen) bool { return seen.Parked == 8 }); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}
