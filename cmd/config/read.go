package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// developmentChain is the id of the chain that xsynesis-dev runs.
const developmentChain = 84532

const rpcPrefix = "RPC_URL_"

// readDatabase builds DATABASE_URL from its parts where it is not given whole, and checks that it can be read.
func (c *Config) readDatabase(vars map[string]string) error {
	if c.DatabaseURL.Empty() {
		u, err := databaseFromParts(vars)
		if err != nil || u == "" {
			return err
		}
		c.DatabaseURL = NewSecret(u)
	}
	if _, err := pgxpool.ParseConfig(c.DatabaseURL.Reveal()); err != nil {
		return errors.New("DATABASE_URL: must be like postgres://user:password@host:5432/database") // err would show it
	}
	return nil
}

func databaseFromParts(vars map[string]string) (string, error) {
	host := vars["PG_HOST"]
	if host == "" {
		for _, name := range []string{"PG_PORT", "PG_USER", "PG_PASSWORD", "PG_DATABASE"} {
			if vars[name] != "" {
				return "", fmt.Errorf("PG_HOST: is missing, and %s is set", name)
			}
		}
		return "", nil
	}
	var mistakes Mistakes
	for _, name := range []string{"PG_USER", "PG_DATABASE"} {
		if vars[name] == "" {
			mistakes = append(mistakes, name+": is missing, and PG_HOST is set")
		}
	}
	var port Port = 5432
	if given := vars["PG_PORT"]; given != "" {
		if err := port.UnmarshalText([]byte(given)); err != nil {
			mistakes = append(mistakes, "PG_PORT: "+err.Error())
		}
	}
	if len(mistakes) > 0 {
		return "", mistakes
	}
	// host and port go into the query, where a socket's directory is as good as a name.
	u := url.URL{Scheme: "postgres", User: url.UserPassword(vars["PG_USER"], vars["PG_PASSWORD"]), Path: "/" + vars["PG_DATABASE"]}
	u.RawQuery = url.Values{"host": {host}, "port": {strconv.Itoa(int(port))}}.Encode()
	return u.String(), nil
}

func (c *Config) readRPC(vars map[string]string) error {
	c.RPC = map[uint64][]string{}
	var mistakes Mistakes
	for name, value := range vars {
		number, ok := strings.CutPrefix(name, rpcPrefix)
		if !ok {
			continue
		}
		chain, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			mistakes = append(mistakes, name+": must end in a chain id, such as RPC_URL_8453")
			continue
		}
		for one := range strings.SplitSeq(value, ",") {
			u, err := url.Parse(strings.TrimSpace(one))
			if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
				mistakes = append(mistakes, name+": must be http or https URLs, separated by commas") // the URL may hold a key
				break
			}
			c.RPC[chain] = append(c.RPC[chain], u.String())
		}
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	return nil
}

func (c *Config) readTLS() error {
	switch {
	case c.TLSAutocertDomain != "" && (c.TLSCert != "" || c.TLSKey != ""):
		return errors.New("TLS_AUTOCERT_DOMAIN: is set, and TLS_CERT or TLS_KEY is too")
	case c.TLSCert == "" && c.TLSKey == "":
		return nil
	case c.TLSCert == "":
		return errors.New("TLS_CERT: is missing, and TLS_KEY is set")
	case c.TLSKey == "":
		return errors.New("TLS_KEY: is missing, and TLS_CERT is set")
	}
	if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
		return fmt.Errorf("TLS_CERT, TLS_KEY: %w", err)
	}
	return nil
}

func (c *Config) checkPorts() error {
	if c.HealthPort != 0 && c.HealthPort == c.Port {
		return errors.New("HEALTH_PORT: is the same as PORT, which answers health checks as well")
	}
	return nil
}

// checkPrivy wants both of what tokens of another sign-in service are checked with, or neither.
func (c *Config) checkPrivy() error {
	if (c.PrivyAppID == "") != (c.PrivyKey == "") {
		return errors.New("PRIVY_APP_ID, PRIVY_VERIFICATION_KEY: one of them is missing")
	}
	return nil
}
