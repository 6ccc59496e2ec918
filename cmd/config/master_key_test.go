package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
)

func TestOneMasterKeyReplacesAnother(t *testing.T) {
	t.Parallel()
	fresh, freshHex := strings.Repeat("f", 32), strings.Repeat("66", 32)
	c, err := config.Parse(vars{"MASTER_KEY": freshHex + ", " + masterKey}, config.Production)
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte(fresh), []byte("0123456789abcdef0123456789abcdef")}, c.MasterKey.All(), "the first seals")
	shown := fmt.Sprintf("%v %+v %#v %s", c.MasterKey, c.MasterKey, c.MasterKey, c.MasterKey)
	require.NotContains(t, shown, masterKey)
	require.NotContains(t, shown, fresh)
	for _, wrong := range []string{masterKey + ",", "," + masterKey, masterKey + ",x", masterKey + " " + freshHex} {
		_, err := config.Parse(vars{"MASTER_KEY": wrong}, config.Production)
		require.ErrorContains(t, err, "MASTER_KEY: must be 32 random bytes", wrong)
	}
	_, err = config.Parse(vars{"MASTER_KEY": masterKey + "," + masterKey}, config.Production)
	require.ErrorContains(t, err, "MASTER_KEY: names one key twice")
}
