package plugin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// stamp is what differs when a file was written anew, or swapped as Kubernetes swaps a Secret.
type stamp struct {
	changed time.Time
	size    int64
}

func stampOf(path string) stamp {
	about, err := os.Stat(path)
	if path == "" || err != nil {
		return stamp{}
	}
	return stamp{about.ModTime(), about.Size()}
}

// reread holds what was made of some files, and makes it anew when one of them changed. What cannot be
// used, as in the moment between two writes, leaves the one before in force.
type reread[T any] struct {
	files []string
	make  func() (T, error)

	mu     sync.Mutex
	stamps []stamp
	held   T
}

func newReread[T any](read func() (T, error), files ...string) (*reread[T], error) {
	r := &reread[T]{files: files, make: read}
	r.stamps = r.now()
	held, err := read()
	r.held = held
	return r, err
}

func (r *reread[T]) now() []stamp {
	stamps := make([]stamp, len(r.files))
	for i, file := range r.files {
		stamps[i] = stampOf(file)
	}
	return stamps
}

func (r *reread[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	stamps := r.now()
	for i := range stamps {
		if stamps[i] == r.stamps[i] {
			continue
		}
		made, err := r.make()
		if err != nil {
			slog.Error("certificates were not read again; those before count", "why", err)
			break
		}
		slog.Info("certificates were read again")
		r.held, r.stamps = made, stamps
		break
	}
	return r.held
}

// serverCredentials gives what TLS is served with: HTTP/2 by ALPN, files as they are at each connection.
func serverCredentials(files TLSFiles) (credentials.TransportCredentials, error) {
	held, err := newReread(func() (*tls.Config, error) {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			return nil, fmt.Errorf("PLUGIN_TLS_CERT: %w", err)
		}
		config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
		if files.ClientCA != "" {
			pool, err := authorities("PLUGIN_TLS_CLIENT_CA", files.ClientCA)
			if err != nil {
				return nil, err
			}
			config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
		}
		return config, nil
	}, files.Cert, files.Key, files.ClientCA)
	if err != nil {
		return nil, &SettingsError{[]string{err.Error()}}
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return held.get(), nil },
	}), nil
}

// clientCredentials gives what agentd is dialled with: files as they are at each connection.
func clientCredentials(ca string, own *TLSFiles) (credentials.TransportCredentials, error) {
	files := []string{ca}
	if own != nil {
		files = append(files, own.Cert, own.Key)
	}
	held, err := newReread(func() (*tls.Config, error) {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if ca != "" {
			pool, err := authorities("AGENTD_CA_FILE", ca)
			if err != nil {
				return nil, err
			}
			config.RootCAs = pool
		}
		if own != nil {
			pair, err := tls.LoadX509KeyPair(own.Cert, own.Key)
			if err != nil {
				return nil, fmt.Errorf("PLUGIN_TLS_CERT: %w", err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		return config, nil
	}, files...)
	if err != nil {
		return nil, &SettingsError{[]string{err.Error()}}
	}
	return rereadCredentials{credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), held}, nil
}

// rereadCredentials makes each handshake by the files of its moment.
type rereadCredentials struct {
	credentials.TransportCredentials
	held *reread[*tls.Config]
}

func (c rereadCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(c.held.get()).ClientHandshake(ctx, authority, conn)
}

func (c rereadCredentials) Clone() credentials.TransportCredentials {
	return rereadCredentials{c.TransportCredentials.Clone(), c.held}
}

func authorities(variable, path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s holds no certificate", variable, path)
	}
	return pool, nil
}
