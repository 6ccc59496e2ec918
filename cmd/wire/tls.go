package wire

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"xsynesis/cmd/config"
)

// certificates is where the certificates of this process come from; nil where something in front of it serves TLS.
type certificates struct {
	*tls.Config
	challenges http.Handler // answers certificate authorities on port 80; nil: there is nothing to answer
}

// newCertificates reads the certificate, or gets ready to ask for one.
func newCertificates(c *config.Config) (*certificates, error) {
	switch {
	case c.TLSAutocertDomain != "":
		return autocertificates(c), nil
	case c.TLSCert != "":
		f := &certificateFiles{cert: c.TLSCert, key: c.TLSKey}
		if err := f.load(); err != nil {
			return nil, err
		}
		return &certificates{Config: &tls.Config{GetCertificate: f.certificate, MinVersion: tls.VersionTLS12}}, nil
	default:
		return nil, nil //nolint:nilnil // plain http is what a proxy in front wants
	}
}

// autocertificates has a certificate authority that speaks ACME issue and renew the domain's certificate. It is asked when
// the first visitor comes; processes that share the data folder share the certificate.
func autocertificates(c *config.Config) *certificates {
	manager := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(filepath.Join(c.DataDir, "autocert")),
		HostPolicy: autocert.HostWhitelist(c.TLSAutocertDomain),
	}
	return &certificates{
		Config: &tls.Config{
			GetCertificate: manager.GetCertificate, MinVersion: tls.VersionTLS12,
			NextProtos: []string{"h2", "http/1.1", acme.ALPNProto},
		},
		challenges: manager.HTTPHandler(nil), // everybody else is sent to https
	}
}

// challengePort is where certificate authorities ask, whatever port the site has.
const challengePort = ":80"

// answerChallenges serves port 80 until ctx ends, where this process may have it. Without it the authority can still ask on
// port 443.
func (s *certificates) answerChallenges(ctx context.Context) error {
	if s == nil || s.challenges == nil {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", challengePort)
	if err != nil {
		slog.Warn("port 80 is not ours: certificates can only be had over port 443", "error", err)
		return nil
	}
	server := &http.Server{Handler: s.challenges, ReadTimeout: headerTimeout, WriteTimeout: headerTimeout, MaxHeaderBytes: 16 << 10}
	if err := serveUntil(ctx, server, l); err != nil {
		return fmt.Errorf("serve port 80: %w", err)
	}
	return nil
}

// reloadEvery is how old the knowledge of the files may be.
const reloadEvery = 5 * time.Second

// certificateFiles is a certificate and its key, read again when either was replaced, so that renewing needs no restart.
type certificateFiles struct {
	cert, key string

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed [2]time.Time // when the files were, as of loaded
	looked  time.Time
}

// certificate is asked at each handshake. Files that do not fit together, as in the middle of a renewal, change nothing.
func (f *certificateFiles) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) >= reloadEvery {
		f.looked = time.Now()
		if changed, err := f.times(); err != nil || changed != f.changed {
			f.reload()
		}
	}
	return f.loaded, nil
}

func (f *certificateFiles) reload() {
	if err := f.load(); err != nil {
		slog.Warn("the new certificate cannot be used, the old one stays", "error", err)
		return
	}
	slog.Info("new certificate", "file", f.cert, "until", f.loaded.Leaf.NotAfter)
}

func (f *certificateFiles) load() error {
	changed, err := f.times()
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	loaded, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	f.loaded, f.changed = &loaded, changed
	return nil
}

func (f *certificateFiles) times() (changed [2]time.Time, err error) {
	for i, path := range []string{f.cert, f.key} {
		info, err := os.Stat(path)
		if err != nil {
			return changed, err
		}
		changed[i] = info.ModTime()
	}
	return changed, nil
}
