package access_test

import (
	"context"
	"crypto/ecdsa"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/queries"
)

const site = "https://shop.example"

// contractOwner signs for the contract wallet of the tests' chain.
var (
	contractOwner, _ = crypto.GenerateKey()
	contractWallet   = common.HexToAddress("0x5afe000000000000000000000000000000000001")
)

// world is the chain that all tests of this package share; nobody writes to it.
var world struct {
	once  sync.Once
	chain *devchain.Chain
	err   error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if world.chain != nil {
		_ = world.chain.Stop()
	}
	os.Exit(code)
}

func testChains(t *testing.T) map[string]*evm.Chain {
	t.Helper()
	world.once.Do(func() {
		world.chain, world.err = devchain.Start(context.Background(), devchain.Options{
			Wallets: map[common.Address]common.Address{contractWallet: crypto.PubkeyToAddress(contractOwner.PublicKey)},
		})
	})
	require.NoError(t, world.err)
	n, err := evm.NewRegistry(map[uint64][]string{devchain.ChainID: {world.chain.URL()}}).Network("eip155:84532")
	require.NoError(t, err)
	return map[string]*evm.Chain{n.ID: evm.Dial(n, evm.Options{})}
}

// house is a database with a gate in front of it.
type house struct {
	*access.Gate
	door door
}

func newHouse(t *testing.T, change ...func(*access.GateOptions)) house {
	t.Helper()
	d := open(t)
	o := access.GateOptions{Origin: site, Open: true, Chains: testChains(t), MasterKey: []byte("the master key of this: 32 bytes")}
	for _, c := range change {
		c(&o)
	}
	g, err := access.NewGate(d.Service, o)
	require.NoError(t, err)
	return house{g, d}
}

func closed(o *access.GateOptions) { o.Open = false }

var phone = access.Browser{Address: "203.0.113.7", UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1"}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	return key
}

func address(key *ecdsa.PrivateKey) string { return crypto.PubkeyToAddress(key.PublicKey).Hex() }

func sign(t *testing.T, key *ecdsa.PrivateKey, text string) string {
	t.Helper()
	signature, err := crypto.Sign(accounts.TextHash([]byte(text)), key)
	require.NoError(t, err)
	signature[64] += 27
	return hexutil.Encode(signature)
}

// asks asks a wallet and signs as it would.
func (h house) asks(t *testing.T, purpose access.Purpose, of access.Session, key *ecdsa.PrivateKey) access.Signed {
	t.Helper()
	asked, err := h.AskWallet(t.Context(), purpose, of.Person, address(key), devchain.ChainID)
	require.NoError(t, err)
	return access.Signed{Message: asked.Message, Signature: sign(t, key, asked.Message)}
}

// enters signs a wallet in.
func (h house) enters(t *testing.T, key *ecdsa.PrivateKey) (access.Entered, access.Session) {
	t.Helper()
	in, err := h.SignInByWallet(t.Context(), h.asks(t, access.ForSignIn, access.Session{}, key), access.Newcomer{}, phone)
	require.NoError(t, err)
	return in, h.session(t, in.Secret)
}

func (h house) session(t *testing.T, secret string) access.Session {
	t.Helper()
	s, err := h.Session(t.Context(), secret)
	require.NoError(t, err)
	return s
}

func (h house) count(t *testing.T, table string) (n int) {
	t.Helper()
	require.NoError(t, h.door.pool.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

func TestNobodyNewComesInWhereSignupsAreClosed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, closed)
	h.door.found(t, "cafe")
	key := newKey(t)
	for _, pass := range []string{"", "x", h.FirstRunToken()} {
		_, err := h.SignInByWallet(t.Context(), h.asks(t, access.ForSignIn, access.Session{}, key), access.Newcomer{Pass: pass, Shop: "Mine"}, phone)
		require.ErrorIs(t, err, access.ErrSignupsClosed, "pass %q", pass)
		_, _, err = h.Join(t.Context(), access.Newcomer{Pass: pass, Name: "Eve", Shop: "Mine"}, phone)
		require.ErrorIs(t, err, access.ErrSignupsClosed, "pass %q", pass)
	}
	require.Equal(t, 1, h.count(t, "persons"))
	require.Zero(t, h.count(t, "sessions"))
	require.Zero(t, h.count(t, "wallets"))
}

func TestAnInvitationLetsSomebodyNewIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, closed)
	cafe := h.door.found(t, "cafe")
	_, err := h.door.pool.Exec(t.Context(), `INSERT INTO invites (id, merchant_id, role, hash, created_by, created_at, expires_at)
		VALUES ('inv_1', $1, 'viewer', sha256('an invitation'), $2, now(), now() + interval '1 day')`, cafe, h.door.owner(t, cafe))
	require.NoError(t, err)
	in, codes, err := h.Join(t.Context(), access.Newcomer{Pass: "an invitation", Name: "Kai"}, phone)
	require.NoError(t, err)
	require.Len(t, codes, 10)
	require.Empty(t, in.Shops, "he has still to accept it")
	for name, end := range map[string]string{
		"expired": `expires_at = now() - interval '1 second', revoked_at = NULL, used_at = NULL`,
		"revoked": `expires_at = now() + interval '1 day', revoked_at = now(), used_at = NULL`,
		"used":    `expires_at = now() + interval '1 day', revoked_at = NULL, used_at = now()`,
	} {
		_, err := h.door.pool.Exec(t.Context(), `UPDATE invites SET `+end)
		require.NoError(t, err)
		_, _, err = h.Join(t.Context(), access.Newcomer{Pass: "an invitation", Name: "Eve"}, phone)
		require.ErrorIs(t, err, access.ErrSignupsClosed, name)
	}
}

func TestTheFirstRunMakesOneOwnerAndOneShop(t *testing.T) {
	t.Parallel()
	h := newHouse(t, closed)
	opens, err := h.OpensFirstRun(t.Context(), h.FirstRunToken())
	require.NoError(t, err)
	require.True(t, opens)
	for _, wrong := range []string{"", "x", h.FirstRunToken() + "x", strings.ToLower(h.FirstRunToken())} {
		opens, err := h.OpensFirstRun(t.Context(), wrong)
		require.NoError(t, err)
		require.False(t, opens, wrong)
	}
	_, _, err = h.Join(t.Context(), access.Newcomer{Pass: h.FirstRunToken(), Name: "Ada", Shop: " "}, phone)
	require.ErrorIs(t, err, access.ErrPerson, "a shop has a name")

	// Many come at the same moment; the token lets one of them in.
	var group errgroup.Group
	results := make([]error, 8)
	for i := range results {
		group.Go(func() error {
			_, _, results[i] = h.Join(t.Context(), access.Newcomer{Pass: h.FirstRunToken(), Name: "Ada", Shop: "Kaffe Nord"}, phone)
			return nil
		})
	}
	require.NoError(t, group.Wait())
	var in int
	for _, err := range results {
		if err == nil {
			in++
			continue
		}
		require.ErrorIs(t, err, access.ErrSignupsClosed)
	}
	require.Equal(t, 1, in)
	members, err := h.Members(t.Context())
	require.NoError(t, err)
	require.Len(t, members, 1)
	require.Equal(t, access.Owner, members[0].Role)
	require.Equal(t, "Kaffe Nord", members[0].Shop)
	opens, err = h.OpensFirstRun(t.Context(), h.FirstRunToken())
	require.NoError(t, err)
	require.False(t, opens, "it is over")
}

func TestTheTokenOfTheFirstRunDependsOnTheMasterKeyAlone(t *testing.T) {
	t.Parallel()
	one, other := newHouse(t), newHouse(t, func(o *access.GateOptions) { o.MasterKey = []byte("another master key of 32 bytes!!") })
	require.Equal(t, one.FirstRunToken(), newHouse(t).FirstRunToken(), "several web processes agree")
	require.NotEqual(t, one.FirstRunToken(), other.FirstRunToken())
	require.Len(t, one.FirstRunToken(), 43)
	none := newHouse(t, func(o *access.GateOptions) { o.MasterKey = nil })
	require.Empty(t, none.FirstRunToken())
	opens, err := none.OpensFirstRun(t.Context(), "")
	require.NoError(t, err)
	require.False(t, opens)
}

func TestTwoShopsOfOneNameHaveAddressesOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in, _ := h.enters(t, newKey(t))
	for _, name := range []string{"Kaffe Nord", "Kaffe  Nord!", "咖啡", "!!!"} {
		tx, err := h.door.pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = h.OpenShopTx(t.Context(), tx, name, audit.By{Person: in.Person})
		require.NoError(t, err, name)
		require.NoError(t, tx.Commit(t.Context()))
	}
	shops, err := h.Shops(t.Context(), in.Person)
	require.NoError(t, err)
	require.Len(t, shops, 4)
	first, err := queries.New().MerchantBySlug(t.Context(), h.door.pool, "kaffe-nord")
	require.NoError(t, err)
	require.Equal(t, "Kaffe Nord", first.Name)
	for _, bad := range []string{"", "  ", strings.Repeat("x", 81), "a\x00b", "a\nb", "a\u202eb", "\xff"} {
		require.False(t, access.IsName(bad), "%q", bad)
	}
}

func TestAChallengeIsForgottenWhenItIsOld(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 5 {
		_, err := h.AskWallet(t.Context(), access.ForSignIn, "", "", 0)
		require.NoError(t, err)
	}
	require.Equal(t, 5, h.count(t, "challenges"))
	h.door.offset.Add(int64(6 * time.Minute))
	asked, err := h.AskWallet(t.Context(), access.ForSignIn, "", "", 0)
	require.NoError(t, err)
	require.Equal(t, 1, h.count(t, "challenges"))
	require.False(t, h.door.stored(t, "challenges", asked.Nonce), "only its hash is kept")
	require.GreaterOrEqual(t, len(asked.Nonce), 20, "26 letters and digits of base32 hold 130 bits")
}
