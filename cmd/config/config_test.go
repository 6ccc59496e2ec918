package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
)

const (
	relayerKey = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
	masterKey  = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

	operatorToken = "kP2r9vQ7sXw4zB6nM1tC8yL3hD5gJ0aF-operator"
)

type vars = map[string]string

func TestParse(t *testing.T) {
	t.Parallel()

	t.Run("nothing set gives the documented defaults", func(t *testing.T) {
		t.Parallel()
		c, err := config.Parse(nil, config.Production)
		require.NoError(t, err)
		require.Equal(t, config.Production, c.Env)
		require.EqualValues(t, 8402, c.Port)
		require.EqualValues(t, 8545, c.DevRPCPort)
		require.Equal(t, 15*time.Minute, c.ReservationTTL.Duration())
		require.Equal(t, 25*time.Second, c.SettleWait.Duration())
		require.Equal(t, ".data", c.DataDir)
		require.Equal(t, slog.LevelInfo, c.LogLevel)
		require.True(t, c.DatabaseURL.Empty())
		require.False(t, c.AllowPrivateTargets)
		require.Empty(t, c.RPC)
		require.True(t, c.WebhookDispatcher)
		require.EqualValues(t, 10, c.WebhookBatch)
		require.Equal(t, 30*time.Second, c.WebhookPoll.Duration())
		require.Zero(t, c.HealthPort)
	})

	t.Run("development is open and knows its chain", func(t *testing.T) {
		t.Parallel()
		c, err := config.Parse(vars{"PORT": "9000", "DEV_RPC_PORT": "9001", "XSYNESIS_ENV": ""}, config.Development)
		require.NoError(t, err)
		require.Equal(t, config.Origin("http://localhost:9000"), c.PublicURL)
		require.Equal(t, map[uint64][]string{84532: {"http://127.0.0.1:9001"}}, c.RPC)
		require.True(t, c.AllowPrivateTargets)
	})

	t.Run("everything can be set", func(t *testing.T) {
		t.Parallel()
		c, err := config.Parse(vars{
			"XSYNESIS_ENV": "production", "PUBLIC_URL": "https://Shop.example:8443/", "RELAYER_KEY": relayerKey, "MASTER_KEY": masterKey,
			"RPC_URL_8453": "https://one.example/key, https://two.example", "TRUSTED_PROXIES": "10.0.0.0/8,::1",
			"SETTLE_WAIT": "5s", "RESERVATION_TTL": "60", "LOG_LEVEL": "DEBUG", "RUN_ONCE": "true", "DEV_SETTLE_ENABLED": "1",
			"WEBHOOK_DISPATCHER_ENABLED": "false", "WEBHOOK_BATCH_SIZE": "500", "WEBHOOK_POLL_INTERVAL_MS": "250", "HEALTH_PORT": "8403",
			"OPERATOR_TOKEN": operatorToken, "TLS_AUTOCERT_DOMAIN": "shop.example",
		}, config.Development)
		require.NoError(t, err)
		require.Equal(t, config.Origin("https://shop.example:8443"), c.PublicURL)
		require.Equal(t, "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", c.RelayerKey.String())
		require.Equal(t, [][]byte{[]byte("0123456789abcdef0123456789abcdef")}, c.MasterKey.All())
		require.Equal(t, map[uint64][]string{8453: {"https://one.example/key", "https://two.example"}}, c.RPC)
		require.Equal(t, config.Networks{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}, c.TrustedProxies)
		require.Equal(t, 5*time.Second, c.SettleWait.Duration())
		require.Equal(t, slog.LevelDebug, c.LogLevel)
		require.False(t, c.WebhookDispatcher)
		require.EqualValues(t, 500, c.WebhookBatch)
		require.Equal(t, 250*time.Millisecond, c.WebhookPoll.Duration())
		require.EqualValues(t, 8403, c.HealthPort)
		require.Equal(t, operatorToken, c.OperatorToken.Reveal())
		require.True(t, c.TLS())
		require.True(t, c.RunOnce)
		require.True(t, c.DevSettle)
		require.True(t, c.WithoutMoneyKeys().RelayerKey.Empty())
		require.False(t, c.RelayerKey.Empty())
	})
}

func TestParseNamesMistakes(t *testing.T) {
	t.Parallel()

	t.Run("every mistake has its line, and no line shows a value", func(t *testing.T) {
		t.Parallel()
		_, err := config.Parse(vars{
			"XSYNESIS_ENV": "hunter2", "PORT": "hunter2", "PUBLIC_URL": "https://hunter2/path", "TRUSTED_PROXIES": "hunter2",
			"LOG_LEVEL": "hunter2", "DATABASE_URL": "postgres://u:hunter2@host:port/db", "RELAYER_KEY": "hunter2", "MASTER_KEY": "hunter2",
			"RESERVATION_TTL": "hunter2", "SETTLE_WAIT": "-3s", "DEV_SETTLE_ENABLED": "hunter2", "RUN_ONCE": "hunter2",
			"RPC_URL_1": "hunter2", "RPC_URL_base": "https://hunter2.example", "TLS_CERT": "hunter2",
			"OPERATOR_TOKEN": "hunter2", "WEBHOOK_BATCH_SIZE": "0", "WEBHOOK_POLL_INTERVAL_MS": "30s", "WEBHOOK_DISPATCHER_ENABLED": "hunter2",
			"HEALTH_PORT": "hunter2",
		}, config.Production)
		var mistakes config.Mistakes
		require.ErrorAs(t, err, &mistakes)
		require.Equal(t, config.Mistakes{
			"DATABASE_URL: must be like postgres://user:password@host:5432/database",
			"DEV_SETTLE_ENABLED: must be true or false",
			"HEALTH_PORT: must be a port, 1 to 65535",
			"LOG_LEVEL: must be debug, info, warn or error",
			"MASTER_KEY: must be 32 random bytes in hex or base64, as `openssl rand -base64 32` prints them",
			"OPERATOR_TOKEN: must have at least 32 characters, as `openssl rand -base64 32` prints them",
			"PORT: must be a port, 1 to 65535",
			"PUBLIC_URL: must be like https://shop.example, without a path",
			"RELAYER_KEY: must be a private key of 64 hex digits",
			"RESERVATION_TTL: must be a number of seconds above 0",
			"RPC_URL_1: must be http or https URLs, separated by commas",
			"RPC_URL_base: must end in a chain id, such as RPC_URL_8453",
			"RUN_ONCE: must be true or false",
			"SETTLE_WAIT: must be a number of seconds above 0",
			"TLS_KEY: is missing, and TLS_CERT is set",
			"TRUSTED_PROXIES: must be addresses or networks such as 10.0.0.0/8, separated by commas",
			"WEBHOOK_BATCH_SIZE: must be a number, 1 to 10000",
			"WEBHOOK_DISPATCHER_ENABLED: must be true or false",
			"WEBHOOK_POLL_INTERVAL_MS: must be a number of milliseconds above 0",
			"XSYNESIS_ENV: must be production or development",
		}, mistakes)
	})

	t.Run("health checks have a port of their own or none", func(t *testing.T) {
		t.Parallel()
		_, err := config.Parse(vars{"PORT": "9000", "HEALTH_PORT": "9000"}, config.Production)
		require.EqualError(t, err, "HEALTH_PORT: is the same as PORT, which answers health checks as well")
	})

	t.Run("a certificate is given or gotten, not both", func(t *testing.T) {
		t.Parallel()
		_, err := config.Parse(vars{"TLS_AUTOCERT_DOMAIN": "shop.example", "TLS_CERT": "cert.pem"}, config.Production)
		require.EqualError(t, err, "TLS_AUTOCERT_DOMAIN: is set, and TLS_CERT or TLS_KEY is too")
	})

	t.Run("a database may be given in parts", func(t *testing.T) {
		t.Parallel()
		c, err := config.Parse(vars{"PG_HOST": "db.example", "PG_USER": "shop", "PG_PASSWORD": "p@ss/word", "PG_DATABASE": "books"}, config.Production)
		require.NoError(t, err)
		require.Equal(t, "postgres://shop:p%40ss%2Fword@/books?host=db.example&port=5432", c.DatabaseURL.Reveal())
	})

	t.Run("a part without the host is a mistake", func(t *testing.T) {
		t.Parallel()
		_, err := config.Parse(vars{"PG_PASSWORD": "x"}, config.Production)
		require.EqualError(t, err, "PG_HOST: is missing, and PG_PASSWORD is set")
	})

	t.Run("what is set for another database service is named", func(t *testing.T) {
		t.Parallel()
		c, err := config.Parse(vars{"SUPABASE_URL": "x", "VITE_SUPABASE_ANON_KEY": "y"}, config.Production)
		require.NoError(t, err)
		require.Equal(t, []string{"SUPABASE_URL", "VITE_SUPABASE_ANON_KEY"}, c.NotUsed())
	})
}

func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	c, err := config.Parse(vars{"DATABASE_URL": "postgres://u:hunter2@h/d", "RELAYER_KEY": relayerKey, "MASTER_KEY": masterKey, "OPERATOR_TOKEN": operatorToken}, config.Production)
	require.NoError(t, err)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("start", "config", c, "key", c.RelayerKey, "master", c.MasterKey, "url", c.DatabaseURL)
	fmt.Fprintf(&out, "%v %+v %#v %s", *c, *c, *c, c.DatabaseURL)
	require.NoError(t, json.NewEncoder(&out).Encode(c))
	for _, secret := range []string{"hunter2", relayerKey[2:], "0123456789abcdef", masterKey, operatorToken} {
		require.NotContains(t, out.String(), secret)
	}
	require.Contains(t, out.String(), "[redacted]")
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	good := func() vars {
		return vars{"PUBLIC_URL": "https://shop.example", "RELAYER_KEY": relayerKey, "MASTER_KEY": masterKey, "DATA_DIR": t.TempDir()}
	}
	refusals := func(t *testing.T, v vars, role config.Role) error {
		t.Helper()
		c, err := config.Parse(v, config.Production)
		require.NoError(t, err)
		c.Role = role
		return c.Refusals()
	}

	t.Run("a complete configuration starts", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, refusals(t, good(), config.All))
	})

	t.Run("development refuses nothing", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, refusals(t, vars{"XSYNESIS_ENV": "development", "DEV_SETTLE_ENABLED": "true"}, config.All))
	})

	t.Run("all that is missing or unsafe is named", func(t *testing.T) {
		t.Parallel()
		err := refusals(t, vars{"DEV_SETTLE_ENABLED": "true", "ALLOW_PRIVATE_TARGETS": "true", "DATA_DIR": t.TempDir()}, config.Worker)
		for _, name := range []string{"MASTER_KEY", "PUBLIC_URL", "ALLOW_PRIVATE_TARGETS", "DEV_SETTLE_ENABLED", "RELAYER_KEY"} {
			require.ErrorContains(t, err, name)
		}
	})

	t.Run("who does not settle needs no key that moves money", func(t *testing.T) {
		t.Parallel()
		v := good()
		delete(v, "RELAYER_KEY")
		require.NoError(t, refusals(t, v, config.Web))
		require.NoError(t, refusals(t, v, config.Dispatcher))
	})

	t.Run("who signs webhooks needs the key that opens their secrets", func(t *testing.T) {
		t.Parallel()
		v := good()
		delete(v, "MASTER_KEY")
		require.ErrorContains(t, refusals(t, v, config.Dispatcher), "MASTER_KEY")
	})

	t.Run("the demo world's keys are refused", func(t *testing.T) {
		t.Parallel()
		v := good()
		demo, err := json.Marshal(map[string]any{"chain_id": 84532, "owner_key": relayerKey})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(v["DATA_DIR"], "dev.json"), demo, 0o600))
		require.ErrorContains(t, refusals(t, v, config.All), "dev.json")
	})

	t.Run("plain http is refused", func(t *testing.T) {
		t.Parallel()
		v := good()
		v["PUBLIC_URL"] = "http://shop.example"
		require.ErrorContains(t, refusals(t, v, config.All), "https")
	})
}
