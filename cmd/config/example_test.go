package config_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
)

var exampleLine = regexp.MustCompile(`(?m)^#?([A-Z][A-Z0-9_]+)=(.*)$`)

// outside are variables that are read otherwise than into a field of their own.
var outside = []string{"RPC_URL_8453", "RPC_URL_84532", "PG_HOST", "PG_PORT", "PG_USER", "PG_PASSWORD", "PG_DATABASE"}

func TestExampleOfTheSettingsFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../.env.server.example")
	require.NoError(t, err)
	values := map[string]string{}
	for _, m := range exampleLine.FindAllStringSubmatch(string(text), -1) {
		require.NotContains(t, values, m[1], "twice")
		values[m[1]] = m[2]
	}

	t.Run("it has every variable and no other", func(t *testing.T) {
		t.Parallel()
		known := slices.Clone(outside)
		for field := range reflect.TypeFor[config.Config]().Fields() {
			if name := field.Tag.Get("env"); name != "" {
				known = append(known, name)
			}
		}
		var named []string
		for name := range values {
			named = append(named, name)
		}
		require.ElementsMatch(t, known, named)
	})

	t.Run("every variable has a sentence above it", func(t *testing.T) {
		t.Parallel()
		for paragraph := range strings.SplitSeq(string(text), "\n\n") {
			if exampleLine.MatchString(paragraph) {
				require.Regexp(t, `^# [^\n]*(\n# [^\n]*)*\.\n#?[A-Z]`, paragraph)
			}
		}
	})

	t.Run("the defaults it shows are the defaults", func(t *testing.T) {
		t.Parallel()
		shown := map[string]string{}
		for name, value := range values {
			if name != "PG_PORT" { // counts only beside PG_HOST
				shown[name] = value
			}
		}
		given, err := config.Parse(shown, config.Production)
		require.NoError(t, err)
		none, err := config.Parse(nil, config.Production)
		require.NoError(t, err)
		require.Equal(t, none, given)
	})
}
