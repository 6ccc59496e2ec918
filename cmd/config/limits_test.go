package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
)

func TestRequestsAreLimitedUnlessSomebodyTriesThingsOut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		given    vars
		fallback config.Environment
		want     bool
	}{
		"production":                    {nil, config.Production, true},
		"development":                   {nil, config.Development, false},
		"said otherwise":                {vars{"XSYNESIS_ENV": "development"}, config.Production, false},
		"said otherwise the other way":  {vars{"XSYNESIS_ENV": " production "}, config.Development, true},
		"a proxy does it":               {vars{"RATE_LIMITS": "false"}, config.Production, false},
		"to see them":                   {vars{"RATE_LIMITS": "true"}, config.Development, true},
		"set to nothing, as by compose": {vars{"RATE_LIMITS": ""}, config.Production, true},
	} {
		c, err := config.Parse(tt.given, tt.fallback)
		require.NoError(t, err, name)
		require.Equal(t, tt.want, c.RateLimits, name)
	}
	_, err := config.Parse(vars{"RATE_LIMITS": "some"}, config.Production)
	require.ErrorContains(t, err, "RATE_LIMITS: must be true or false")
}
