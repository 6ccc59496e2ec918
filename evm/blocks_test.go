package evm_test

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

func TestABlockIsFoundByItsTime(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for range 3 {
		sendUSDC(t, common.Address{1}, 1)
	}
	head, err := s.chain.Head(t.Context())
	require.NoError(t, err)
	require.Greater(t, head.Number, uint64(2))
	times, err := s.chain.BlockTimes(t.Context(), []uint64{head.Number - 1, head.Number})
	require.NoError(t, err)
	require.True(t, head.Time.Equal(times[head.Number]))
	require.True(t, times[head.Number-1].Before(head.Time))
	for _, c := range []struct {
		since time.Time
		want  uint64
	}{
		{time.Unix(1, 0), 1},
		{times[head.Number-1], head.Number - 1},
		{times[head.Number-1].Add(time.Millisecond), head.Number},
		{head.Time, head.Number},
	} {
		first, err := s.chain.FirstSince(t.Context(), c.since)
		require.NoError(t, err)
		require.Equal(t, c.want, first, c.since)
	}
	first, err := s.chain.FirstSince(t.Context(), head.Time.Add(time.Hour))
	require.NoError(t, err)
	require.Greater(t, first, head.Number, "the next block")
}
