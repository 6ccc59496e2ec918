package wire

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
)

// selfMade is a certificate for host and its key, each as PEM.
func selfMade(t *testing.T, host string) (cert, key []byte, _ *x509.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), parsed
}

// serveTLS serves with what the configuration asks for, until the test ends.
func serveTLS(t *testing.T, c *config.Config) (*certificates, string) {
	t.Helper()
	certificates, err := newCertificates(c)
	require.NoError(t, err)
	return certificates, serveWith(t, certificates)
}

func serveWith(t *testing.T, certificates *certificates) (address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- serveHTTP(ctx, certificates, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }), l)
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-served)
	})
	return l.Addr().String()
}

// presented is the certificate that a visitor of host gets.
func presented(t *testing.T, address, host string) (*x509.Certificate, error) {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

func TestAReplacedCertificateIsServedWithoutARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := &config.Config{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}
	put := func(path string, content []byte, age time.Duration) {
		require.NoError(t, os.WriteFile(path, content, 0o600))
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
	}
	cert, key, first := selfMade(t, "shop.example")
	put(c.TLSCert, cert, time.Hour)
	put(c.TLSKey, key, time.Hour)
	files := &certificateFiles{cert: c.TLSCert, key: c.TLSKey}
	require.NoError(t, files.load())
	address := serveWith(t, &certificates{Config: &tls.Config{GetCertificate: files.certificate}})
	lookAgain := func() {
		files.mu.Lock()
		defer files.mu.Unlock()
		files.looked = time.Time{}
	}

	got, err := presented(t, address, "shop.example")
	require.NoError(t, err)
	require.True(t, got.Equal(first))

	cert, key, second := selfMade(t, "shop.example")
	put(c.TLSCert, cert, 0)
	lookAgain()
	got, err = presented(t, address, "shop.example")
	require.NoError(t, err)
	require.True(t, got.Equal(first), "a certificate without its key is not taken")

	put(c.TLSKey, key, 0)
	lookAgain()
	got, err = presented(t, address, "shop.example")
	require.NoError(t, err)
	require.True(t, got.Equal(second))

	require.NoError(t, os.Remove(c.TLSKey))
	lookAgain()
	got, err = presented(t, address, "shop.example")
	require.NoError(t, err)
	require.True(t, got.Equal(second), "what was read stays")

	_, err = newCertificates(c)
	require.ErrorContains(t, err, "read the certificate")
}

func TestTheSiteSpeaksHTTP2OverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := &config.Config{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}
	cert, key, leaf := selfMade(t, "shop.example")
	require.NoError(t, os.WriteFile(c.TLSCert, cert, 0o600))
	require.NoError(t, os.WriteFile(c.TLSKey, key, 0o600))
	_, address := serveTLS(t, c)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	response, err := client.Get("https://" + address)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "HTTP/2.0", string(body))
	client.CloseIdleConnections()
}

func TestACertificateOnceIssuedIsServedForItsDomainAlone(t *testing.T) {
	t.Parallel()
	c := &config.Config{TLSAutocertDomain: "shop.example", DataDir: t.TempDir()}
	cert, key, leaf := selfMade(t, "shop.example")
	require.NoError(t, os.MkdirAll(filepath.Join(c.DataDir, "autocert"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(c.DataDir, "autocert", "shop.example"), bytes.Join([][]byte{key, cert}, nil), 0o600))
	certificates, address := serveTLS(t, c)
	require.NotNil(t, certificates.challenges)

	got, err := presented(t, address, "shop.example")
	require.NoError(t, err)
	require.True(t, got.Equal(leaf))
	_, err = presented(t, address, "other.example")
	require.Error(t, err, "nothing is asked of an authority for other names")
}

func TestWithoutACertificateTheSiteIsPlain(t *testing.T) {
	t.Parallel()
	certificates, address := serveTLS(t, &config.Config{})
	require.Nil(t, certificates)
	require.NoError(t, certificates.answerChallenges(t.Context()))
	response, err := http.Get("http://" + address)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}
