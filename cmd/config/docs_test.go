package config_test

import (
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
)

func TestEveryVariableIsInTheDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	for field := range reflect.TypeFor[config.Config]().Fields() {
		if name := field.Tag.Get("env"); name != "" {
			require.Contains(t, string(text), "`"+name+"`")
		}
	}
}
