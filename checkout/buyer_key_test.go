package checkout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/checkout"
	"xsynesis/vault"
)

var newMasterKey = []byte("fedcba9876543210fedcba9876543210")

func (p *process) begin(t *testing.T, s *testShop) checkout.Attempt {
	t.Helper()
	a, err := p.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token})
	require.NoError(t, err)
	return a
}

// shows demands that a process makes the token of a purchase, and that it is the buyer's.
func (p *process) shows(t *testing.T, a checkout.Attempt) string {
	t.Helper()
	k := p.checkout.BuyerToken(t.Context(), a)
	require.True(t, a.IsBuyer(k))
	return k
}

func (s *testShop) buyerKeys(t *testing.T) int {
	t.Helper()
	return s.count(t, `SELECT count(*) FROM buyer_keys`)
}

func TestBuyersTokensOutliveTheMasterKey(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	before := s.begin(t)
	k := s.web.shows(t, before)
	require.Equal(t, 1, s.buyerKeys(t))

	both := s.start(t, role{masters: [][]byte{newMasterKey, masterKey}})
	require.Equal(t, k, both.shows(t, before))
	during := both.begin(t, s)
	require.Equal(t, 2, s.buyerKeys(t), "the new master key begins one of its own")
	both.shows(t, during)

	n, err := both.checkout.ResealBuyerKeys(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = both.checkout.ResealBuyerKeys(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)

	fresh := s.start(t, role{masters: [][]byte{newMasterKey}})
	require.Equal(t, k, fresh.shows(t, before))
	fresh.shows(t, during)
	fresh.shows(t, fresh.begin(t, s))
	require.Equal(t, 2, s.buyerKeys(t))
}

func TestAKeyThatAnotherProcessHasBegunIsFound(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	s.begin(t)
	first := s.start(t, role{masters: [][]byte{masterKey, newMasterKey}})
	first.shows(t, first.begin(t, s))
	second := s.start(t, role{masters: [][]byte{newMasterKey, masterKey}})
	later := second.begin(t, s)
	for range 3 {
		s.clock.advance(time.Second)
		first.shows(t, later)
		later = second.begin(t, s)
	}
	require.Equal(t, 2, s.buyerKeys(t), "one for each master key that seals")
}

func TestProcessesThatBeginTogetherBeginOneKey(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	processes := make([]*process, 4)
	for i := range processes {
		processes[i] = s.start(t, role{})
	}
	attempts := make([]checkout.Attempt, len(processes))
	var all errgroup.Group
	for i, p := range processes {
		all.Go(func() (err error) {
			attempts[i], err = p.checkout.Start(t.Context(), checkout.Begin{Token: s.link.Token})
			return err
		})
	}
	require.NoError(t, all.Wait())
	require.Equal(t, 1, s.buyerKeys(t))
	for _, a := range attempts {
		s.web.shows(t, a)
	}
}

func TestWithoutItsMasterKeyATokenIsNotShownAndStillOpens(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	before := s.begin(t)
	k := s.web.shows(t, before)
	lost := s.start(t, role{masters: [][]byte{newMasterKey}})
	require.Empty(t, lost.checkout.BuyerToken(t.Context(), before))
	p, err := lost.checkout.Purchase(t.Context(), before.ID)
	require.NoError(t, err)
	require.True(t, p.IsBuyer(k))
	lost.shows(t, lost.begin(t, s))
	_, err = lost.checkout.ResealBuyerKeys(t.Context())
	require.ErrorIs(t, err, vault.ErrSealed)
}
