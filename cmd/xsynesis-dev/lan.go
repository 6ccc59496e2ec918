package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
)

var (
	errNoLAN   = errors.New("LAN=1: this machine has no address that other devices could reach; connect it to a network, or leave LAN=1 out")
	errLANCert = errors.New("LAN=1 makes its own certificate; leave TLS_CERT, TLS_KEY and TLS_AUTOCERT_DOMAIN out")
)

// serveLAN makes c serve the local network over TLS, and returns a client that trusts its certificate.
func serveLAN(ctx context.Context, c *config.Config, now time.Time) (*http.Client, error) {
	addresses, err := lanAddresses()
	if err != nil {
		return nil, err
	}
	return serveAddresses(c, addresses, routedAddress(ctx), now)
}

func serveAddresses(c *config.Config, addresses []lanAddress, routed netip.Addr, now time.Time) (*http.Client, error) {
	if c.TLS() {
		return nil, errLANCert
	}
	address, ok := chooseLAN(addresses, routed)
	if !ok {
		return nil, errNoLAN
	}
	certificate, err := lanCertificate(c, addresses, now)
	if err != nil {
		return nil, err
	}
	c.PublicURL = config.Origin(fmt.Sprintf("https://%s", netip.AddrPortFrom(address, uint16(c.Port))))
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}, nil
}

// lanAddress is where other devices may reach this machine.
type lanAddress struct {
	device string
	addr   netip.Addr
}

// lanAddresses are the IPv4 addresses of the devices that are up, those that mean only this machine left out.
func lanAddresses() ([]lanAddress, error) {
	devices, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the network's devices: %w", err)
	}
	var found []lanAddress
	for _, device := range devices {
		if device.Flags&net.FlagUp == 0 || device.Flags&net.FlagLoopback != 0 {
			continue
		}
		networks, err := device.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list the addresses of %s: %w", device.Name, err)
		}
		for _, network := range networks {
			if prefix, err := netip.ParsePrefix(network.String()); err == nil && prefix.Addr().Is4() && prefix.Addr().IsGlobalUnicast() {
				found = append(found, lanAddress{device.Name, prefix.Addr()})
			}
		}
	}
	return found, nil
}

// routedAddress is the address that this machine would call the outside from; nothing is sent to find out.
func routedAddress(ctx context.Context) netip.Addr {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp4", "192.0.2.1:9")
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return local.Addr()
}

// chooseLAN prefers private addresses, among them the one with the way out, and real devices.
func chooseLAN(addresses []lanAddress, routed netip.Addr) (netip.Addr, bool) {
	for _, wanted := range []func(lanAddress) bool{
		func(a lanAddress) bool { return a.addr.IsPrivate() && a.addr == routed },
		func(a lanAddress) bool { return a.addr.IsPrivate() && !a.virtual() },
		func(a lanAddress) bool { return a.addr == routed },
		func(a lanAddress) bool { return !a.virtual() },
		func(lanAddress) bool { return true },
	} {
		if i := slices.IndexFunc(addresses, wanted); i >= 0 {
			return addresses[i].addr, true
		}
	}
	return netip.Addr{}, false
}

// virtual tells devices that lead to containers and virtual machines, which no phone can reach.
func (a lanAddress) virtual() bool {
	return slices.ContainsFunc([]string{"docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "lxc", "lxd", "cni", "podman"},
		func(prefix string) bool { return strings.HasPrefix(a.device, prefix) })
}

const (
	lanValid = 365 * 24 * time.Hour
	lanRenew = 30 * 24 * time.Hour // how long before its end a certificate is replaced
)

// lanCertificate is the one kept in the data folder, or a new one where that ends soon or does not name every address. It
// stays the same as long as it can: visitors had to say once that they trust it.
func lanCertificate(c *config.Config, addresses []lanAddress, now time.Time) (*x509.Certificate, error) {
	dir := filepath.Join(c.DataDir, "lan")
	c.TLSCert, c.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	kept, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err == nil && covers(kept.Leaf, addresses) && now.Add(lanRenew).Before(kept.Leaf.NotAfter) {
		return kept.Leaf, nil
	}
	cert, key, err := makeCertificate(addresses, now)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of the local network: %w", err)
	}
	err = errors.Join(writePEM(c.TLSKey, "PRIVATE KEY", key), writePEM(c.TLSCert, "CERTIFICATE", cert))
	if err != nil {
		return nil, fmt.Errorf("keep the certificate of the local network: %w", err)
	}
	return x509.ParseCertificate(cert)
}

func covers(cert *x509.Certificate, addresses []lanAddress) bool {
	for _, a := range addresses {
		if cert.VerifyHostname(a.addr.String()) != nil {
			return false
		}
	}
	return true
}

// makeCertificate signs itself, for these addresses and this machine's own.
func makeCertificate(addresses []lanAddress, now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "xSynesis on the local network"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lanValid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, a := range addresses {
		template.IPAddresses = append(template.IPAddresses, a.addr.AsSlice())
	}
	cert, err = x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	key, err = x509.MarshalPKCS8PrivateKey(private)
	return cert, key, err
}

func writePEM(path, kind string, der []byte) error {
	return process.WriteWhole(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
