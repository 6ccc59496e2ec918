package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func TestProcessesThatStartTogetherHaveTheSameKeys(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	got := make([]keys, 16)
	var starting errgroup.Group
	for i := range got {
		starting.Go(func() (err error) {
			got[i], err = loadKeys(dir)
			return err
		})
	}
	require.NoError(t, starting.Wait())
	for _, k := range got {
		require.Equal(t, address(got[0].Buyer), address(k.Buyer))
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	info, err := left[0].Info()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
