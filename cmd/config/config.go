// Package config is everything that the shop's operator may set, read from the environment in one place.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"
)

// File is read at start where it exists; what the environment says wins.
const File = ".env.server"

// Config is one process's settings. A field's tag is the name of its variable.
type Config struct {
	Env                 Environment  `env:"XSYNESIS_ENV"`
	Port                Port         `env:"PORT" envDefault:"8402"`
	HealthPort          Port         `env:"HEALTH_PORT"` // none: only the site's own port answers
	PublicURL           Origin       `env:"PUBLIC_URL"`
	TLSCert             string       `env:"TLS_CERT"`
	TLSKey              string       `env:"TLS_KEY"`
	TLSAutocertDomain   string       `env:"TLS_AUTOCERT_DOMAIN"`
	TrustedProxies      Networks     `env:"TRUSTED_PROXIES"`
	RateLimits          bool         `env:"RATE_LIMITS" envDefault:"true"`
	LogLevel            slog.Level   `env:"LOG_LEVEL" envDefault:"info"`
	DataDir             string       `env:"DATA_DIR" envDefault:".data"`
	DatabaseURL         Secret       `env:"DATABASE_URL"` // empty: a private cluster under DataDir
	DevRPCPort          Port         `env:"DEV_RPC_PORT" envDefault:"8545"`
	RelayerKey          Key          `env:"RELAYER_KEY"` // only in processes that settle, see [Config.WithoutMoneyKeys]
	CustodyKey          MasterKey    `env:"CUSTODY_KEY"` // as RELAYER_KEY; none: no money is kept for shops
	PlatformFeeBPS      BasisPoints  `env:"PLATFORM_FEE_BPS" envDefault:"0"`
	MasterKey           MasterKey    `env:"MASTER_KEY"`
	OperatorToken       Token        `env:"OPERATOR_TOKEN"`
	Signups             Signups      `env:"SIGNUPS"`
	PrivyAppID          string       `env:"PRIVY_APP_ID"`
	PrivyKey            PublicKey    `env:"PRIVY_VERIFICATION_KEY"`
	ReservationTTL      Seconds      `env:"RESERVATION_TTL" envDefault:"900"`
	SettleWait          Seconds      `env:"SETTLE_WAIT" envDefault:"25"`
	DevSettle           bool         `env:"DEV_SETTLE_ENABLED"`
	RunOnce             bool         `env:"RUN_ONCE"`
	AllowPrivateTargets bool         `env:"ALLOW_PRIVATE_TARGETS"`
	WebhookDispatcher   bool         `env:"WEBHOOK_DISPATCHER_ENABLED" envDefault:"true"`
	WebhookBatch        Count        `env:"WEBHOOK_BATCH_SIZE" envDefault:"10"`
	WebhookPoll         Milliseconds `env:"WEBHOOK_POLL_INTERVAL_MS" envDefault:"30000"`

	Facilitators      Facilitators      `env:"FACILITATOR_URL"` // none: our own relayer, or the one that there is a key for
	FacilitatorSecret Secret            `env:"FACILITATOR_WEBHOOK_SECRET"`
	FacilitatorPolicy FacilitatorPolicy `env:"FACILITATOR_POLICY" envDefault:"own"`
	FacilitatorBudget Count             `env:"FACILITATOR_BUDGET" envDefault:"1000"`
	CDPKeyID          string            `env:"CDP_API_KEY_ID"`
	CDPKeySecret      Secret            `env:"CDP_API_KEY_SECRET"` // as RelayerKey

	RPC map[uint64][]string // RPC_URL_<chain id>, in order of preference

	Role    Role   // what this process was started as; the command line says it, not the environment
	Version string // of the program, which says it itself

	privateDatabase bool
	notUsed         []string
}

// Load reads the environment and [File]. fallback is the environment that this binary is for where XSYNESIS_ENV does not
// say. The error is a [Mistakes], which has one line for every variable that is wrong.
func Load(fallback Environment) (*Config, error) {
	vars, err := godotenv.Read(File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, Mistakes{fmt.Sprintf("%s cannot be read: %v", File, err)}
	}
	if vars == nil {
		vars = map[string]string{}
	}
	maps.Copy(vars, env.ToMap(os.Environ()))
	return Parse(vars, fallback)
}

// Parse is [Load] with the variables given. A variable that is set to nothing counts as not set.
func Parse(vars map[string]string, fallback Environment) (*Config, error) {
	vars = withDefaults(vars, fallback)
	c := &Config{notUsed: notUsed(vars)}
	var mistakes Mistakes
	mistakes.addEnv(env.ParseWithOptions(c, env.Options{Environment: vars}))
	mistakes.add(c.readDatabase(vars), c.readRPC(vars), c.readTLS(), c.checkPorts(), c.checkPrivy(), c.checkCDP())
	c.complete()
	if len(mistakes) > 0 {
		slices.Sort(mistakes)
		return nil, mistakes
	}
	return c, nil
}

// withDefaults adds what depends on the binary, and leaves out what is set to nothing.
func withDefaults(given map[string]string, fallback Environment) map[string]string {
	vars := map[string]string{"XSYNESIS_ENV": string(fallback)}
	if cmp.Or(strings.TrimSpace(given["XSYNESIS_ENV"]), string(fallback)) == string(Development) {
		vars["RATE_LIMITS"] = "false"
		if fallback == Development {
			vars["ALLOW_PRIVATE_TARGETS"] = "true"
		}
	}
	for name, value := range given {
		if value = strings.TrimSpace(value); value != "" {
			vars[name] = value
		}
	}
	return vars
}

// complete fills in what follows from the rest.
func (c *Config) complete() {
	if c.Signups == "" {
		c.Signups = SignupsClosed
		if c.Env == Development {
			c.Signups = SignupsOpen
		}
	}
	if c.Env != Development {
		return
	}
	if c.PublicURL == "" {
		scheme := "http"
		if c.TLS() {
			scheme = "https"
		}
		c.PublicURL = Origin(fmt.Sprintf("%s://localhost:%d", scheme, c.Port))
	}
	if len(c.RPC[developmentChain]) == 0 {
		c.RPC[developmentChain] = []string{fmt.Sprintf("http://127.0.0.1:%d", c.DevRPCPort)}
	}
}

// TLS reports whether this process serves TLS itself.
func (c *Config) TLS() bool { return c.TLSCert != "" || c.TLSAutocertDomain != "" }

// WithoutMoneyKeys is the configuration of a process that must not be able to move money.
func (c *Config) WithoutMoneyKeys() *Config {
	other := *c
	other.RelayerKey, other.CustodyKey, other.Facilitators, other.CDPKeyID, other.CDPKeySecret = Key{}, MasterKey{}, nil, "", Secret{}
	return &other
}

// UsePrivateDatabase takes the connection string of the cluster under DataDir.
func (c *Config) UsePrivateDatabase(url string) {
	c.DatabaseURL, c.privateDatabase = NewSecret(url), true
}

// NotUsed lists variables that are set and that this program ignores, though they look meant for it.
func (c *Config) NotUsed() []string { return c.notUsed }

// DevFile is the file that tells scripts about the demo world.
func (c *Config) DevFile() string { return filepath.Join(c.DataDir, "dev.json") }

// LogValue implements [slog.LogValuer]: what an operator wants to see at start, and no secret.
func (c *Config) LogValue() slog.Value {
	database := "DATABASE_URL"
	if c.privateDatabase {
		database = "private, under " + c.DataDir
	}
	return slog.GroupValue(
		slog.String("env", string(c.Env)),
		slog.String("public_url", string(c.PublicURL)),
		slog.Int("port", int(c.Port)),
		slog.String("database", database),
		slog.Any("chains", slices.Sorted(maps.Keys(c.RPC))),
		slog.String("relayer", c.RelayerKey.String()),
		slog.Duration("reservation_ttl", time.Duration(c.ReservationTTL)),
		slog.Duration("settle_wait", time.Duration(c.SettleWait)),
		slog.Bool("webhook_dispatcher", c.WebhookDispatcher),
	)
}

// notUsed finds the variables of an earlier deployment's database service.
func notUsed(vars map[string]string) []string {
	var names []string
	for name := range vars {
		if strings.Contains(name, "SUPABASE") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Mistakes is one sentence for each thing that is wrong with the environment.
type Mistakes []string

// Error is all of them, one a line.
func (m Mistakes) Error() string { return strings.Join(m, "\n") }

func (m *Mistakes) add(errs ...error) {
	for _, err := range errs {
		var more Mistakes
		if errors.As(err, &more) {
			*m = append(*m, more...)
		} else if err != nil {
			*m = append(*m, err.Error())
		}
	}
}

// addEnv names the variable where the parser names the field.
func (m *Mistakes) addEnv(err error) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		m.add(err)
		return
	}
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			m.add(err)
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		name := field.Tag.Get("env")
		*m = append(*m, fmt.Sprintf("%s: %s", name, explain(parse)))
	}
}

// explain never repeats the value: it may be a secret in the wrong variable.
func explain(parse env.ParseError) string {
	switch parse.Type {
	case reflect.TypeFor[bool]():
		return "must be true or false"
	case reflect.TypeFor[slog.Level]():
		return "must be debug, info, warn or error"
	default:
		return parse.Err.Error()
	}
}
