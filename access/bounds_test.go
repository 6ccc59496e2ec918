package access_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
)

func TestAnInvitationEndsWithTheRightToGiveIt(t *testing.T) {
	t.Parallel()
	d := open(t)
	ada := d.boss(t, d.found(t, "cafe"))
	olga := d.hired(t, ada, access.Owner, "Olga")
	invited := func(role access.Role) string {
		_, token, err := d.Invite(t.Context(), olga, from, role, "Friend")
		require.NoError(t, err)
		return token
	}
	owner, viewer := invited(access.Owner), invited(access.Viewer)

	require.NoError(t, d.ChangeRole(t.Context(), ada, from, olga.Person, access.Manager))
	friend := d.stranger(t, "Friend")
	_, err := d.Accept(t.Context(), friend, from, owner)
	require.ErrorIs(t, err, access.ErrInvite, "who is an owner no more lets no owner in")
	_, err = d.Invited(t.Context(), viewer)
	require.NoError(t, err, "a manager may ask viewers")

	require.NoError(t, d.Suspend(t.Context(), ada, from, olga.Person))
	_, err = d.Accept(t.Context(), friend, from, viewer)
	require.ErrorIs(t, err, access.ErrInvite)
	require.Len(t, d.staff(t, ada.Merchant), 2)
}

func TestAnInvitationLetsFewNewPeopleIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, closed)
	boss := h.door.boss(t, h.door.found(t, "cafe"))
	_, token, err := h.Invite(t.Context(), boss, from, access.Viewer, "Ben")
	require.NoError(t, err)
	results := make([]error, 8)
	var crowd errgroup.Group
	for i := range results {
		crowd.Go(func() error {
			_, _, results[i] = h.Join(t.Context(), access.Newcomer{Pass: token, Name: "Ben"}, phone)
			return nil
		})
	}
	require.NoError(t, crowd.Wait())
	var in int
	for _, err := range results {
		if err == nil {
			in++
			continue
		}
		require.ErrorIs(t, err, access.ErrSignupsClosed)
	}
	require.Equal(t, 3, in)
	admits, err := h.Admits(t.Context(), token)
	require.NoError(t, err)
	require.False(t, admits)
	require.Equal(t, 4, h.count(t, "persons"), "those who were refused left nothing")
	_, err = h.Accept(t.Context(), h.door.stranger(t, "Cem"), from, token)
	require.NoError(t, err, "it still lets somebody into the shop")
}

const elsewhere = 8453

// yesChain is another network, on which a contract at every address stands by everything.
func yesChain(t *testing.T) *evm.Chain {
	t.Helper()
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		_ = json.NewDecoder(r.Body).Decode(&call)
		answer := map[string]string{"eth_chainId": hexutil.EncodeUint64(elsewhere), "eth_getCode": "0x00"}[call.Method]
		if call.Method == "eth_call" {
			answer = hexutil.Encode(append([]byte{0x16, 0x26, 0xba, 0x7e}, make([]byte, 28)...))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": call.ID, "result": answer})
	}))
	t.Cleanup(node.Close)
	n, err := evm.NewRegistry(map[uint64][]string{elsewhere: {node.URL}}).Network("eip155:8453")
	require.NoError(t, err)
	return evm.Dial(n, evm.Options{})
}

func TestAContractSignsInOnItsOwnNetworkAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *access.GateOptions) { o.Chains["eip155:8453"] = yesChain(t) })
	signed := func(purpose access.Purpose, of access.Session, chainID uint64) access.Signed {
		asked, err := h.AskWallet(t.Context(), purpose, of.Person, contractWallet.Hex(), chainID)
		require.NoError(t, err)
		return access.Signed{Message: asked.Message, Signature: sign(t, contractOwner, asked.Message)}
	}
	in, err := h.SignInByWallet(t.Context(), signed(access.ForSignIn, access.Session{}, devchain.ChainID), access.Newcomer{}, phone)
	require.NoError(t, err)
	s := h.session(t, in.Secret)

	_, err = h.SignInByWallet(t.Context(), signed(access.ForSignIn, access.Session{}, elsewhere), access.Newcomer{}, phone)
	require.ErrorIs(t, err, access.ErrOtherChain, "there the address may be somebody else's")
	_, err = h.ConfirmByWallet(t.Context(), s, in.Secret, signed(access.ForStepUp, s, elsewhere))
	require.ErrorIs(t, err, access.ErrOtherChain)
	require.Equal(t, 1, h.count(t, "sessions"))

	_, err = h.ConfirmByWallet(t.Context(), s, in.Secret, signed(access.ForStepUp, s, devchain.ChainID))
	require.NoError(t, err)
	again, err := h.SignInByWallet(t.Context(), signed(access.ForSignIn, access.Session{}, devchain.ChainID), access.Newcomer{}, phone)
	require.NoError(t, err)
	require.Equal(t, in.Person, again.Person)

	// The other way round: an account with a key has no contract that could speak for it.
	key := newKey(t)
	_, ada := h.enters(t, key)
	asked, err := h.AskWallet(t.Context(), access.ForSignIn, "", address(key), elsewhere)
	require.NoError(t, err)
	_, err = h.SignInByWallet(t.Context(), access.Signed{Message: asked.Message, Signature: sign(t, newKey(t), asked.Message)}, access.Newcomer{}, phone)
	require.ErrorIs(t, err, access.ErrOtherChain)
	asked, err = h.AskWallet(t.Context(), access.ForSignIn, "", address(key), elsewhere)
	require.NoError(t, err)
	same, err := h.SignInByWallet(t.Context(), access.Signed{Message: asked.Message, Signature: sign(t, key, asked.Message)}, access.Newcomer{}, phone)
	require.NoError(t, err, "the key itself is the same everywhere")
	require.Equal(t, ada.Person, same.Person)
}

func TestWhoIsGoneMakesNoKey(t *testing.T) {
	t.Parallel()
	d := open(t)
	ada := d.boss(t, d.found(t, "cafe"))
	dev := d.hired(t, ada, access.Developer, "Dev")
	by := audit.By{Person: dev.Person, Actor: dev.PersonName}
	first, _, err := d.MakeKey(t.Context(), ada.Merchant, form("till"), by)
	require.NoError(t, err)

	require.NoError(t, d.ChangeRole(t.Context(), ada, from, dev.Person, access.Viewer))
	_, _, err = d.MakeKey(t.Context(), ada.Merchant, form("back door"), by)
	require.ErrorIs(t, err, access.ErrDenied, "his role has it no more")
	require.NoError(t, d.ChangeRole(t.Context(), ada, from, dev.Person, access.Developer))
	require.NoError(t, d.Remove(t.Context(), ada, from, dev.Person))
	_, _, err = d.MakeKey(t.Context(), ada.Merchant, form("back door"), by)
	require.ErrorIs(t, err, access.ErrDenied)
	_, _, err = d.RollKey(t.Context(), ada.Merchant, false, first.ID, by)
	require.ErrorIs(t, err, access.ErrDenied)
	keys, err := d.Keys(t.Context(), ada.Merchant, false)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Nil(t, keys[0].ExpiresAt, "a key that was not replaced goes on")
}

func TestABrowserMayCallItselfAnything(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, name := range []string{"", "\xff\xfe", strings.Repeat("é", 300), "a" + strings.Repeat("é", 300), strings.Repeat("x", 70_000)} {
		key := newKey(t)
		in, err := h.SignInByWallet(t.Context(), h.asks(t, access.ForSignIn, access.Session{}, key), access.Newcomer{}, access.Browser{UserAgent: name})
		require.NoError(t, err, "%.10q", name)
		list, err := h.Sessions(t.Context(), in.Person)
		require.NoError(t, err)
		require.LessOrEqual(t, len(list[0].UserAgent), 255)
	}
}

func TestNothingLongIsKeptOfSomebodyUnknown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	long := strings.Repeat("x", 100_000)
	_, err := h.AskFirstPasskey(t.Context(), access.Newcomer{Name: "Ada", Shop: long, Pass: long})
	require.NoError(t, err)
	_, err = h.AskFirstPasskey(t.Context(), access.Newcomer{Name: long})
	require.ErrorIs(t, err, access.ErrPerson)
	var kept []byte
	require.NoError(t, h.door.pool.QueryRow(t.Context(), `SELECT data::text FROM challenges`).Scan(&kept))
	require.Less(t, len(kept), 2000)
	require.False(t, bytes.Contains(kept, []byte("xxxx")))
}

func TestANewUserWhoComesTwiceAtOnceIsOnePerson(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	h := privyHouse(t, s)
	results := make([]error, 8)
	var crowd errgroup.Group
	for i := range results {
		crowd.Go(func() error {
			_, results[i] = h.SignInByPrivy(t.Context(), s.good(t), access.Newcomer{}, phone)
			return nil
		})
	}
	require.NoError(t, crowd.Wait())
	for _, err := range results {
		if err != nil {
			require.ErrorIs(t, err, access.ErrTaken)
		}
	}
	require.Equal(t, 1, h.count(t, "persons"))
}

func TestAUserOfAnotherServiceSetsUpWhatSigns(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	h := privyHouse(t, s)
	enter := func() access.Session {
		in, err := h.SignInByPrivy(t.Context(), s.good(t, set("exp", h.door.now().Add(time.Hour).Unix())), access.Newcomer{}, phone)
		require.NoError(t, err)
		return h.session(t, in.Secret)
	}
	ada, key := enter(), newKey(t)
	h.door.offset.Add(int64(16 * time.Minute))
	require.ErrorIs(t, h.AddWallet(t.Context(), ada, h.asks(t, access.ForWallet, ada, key), phone), access.ErrStepUp, "that was long ago")
	h.door.offset.Store(0)
	ada = enter()
	require.NoError(t, h.AddWallet(t.Context(), ada, h.asks(t, access.ForWallet, ada, key), phone), "he has nothing else to prove himself with")
	_, err := h.MakeCodes(t.Context(), ada, phone)
	require.ErrorIs(t, err, access.ErrStepUp, "from now on he has")
}

func TestShopsThatAreOpenedAtOnceAreCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := newKey(t)
	results := make([]error, 24)
	var crowd errgroup.Group
	for i := range results {
		in, of := h.enters(t, key)
		crowd.Go(func() error {
			_, results[i] = h.OpenShop(t.Context(), of, in.Secret, "Kaffe Nord", phone)
			return nil
		})
	}
	require.NoError(t, crowd.Wait())
	for _, err := range results {
		if err != nil {
			require.ErrorIs(t, err, access.ErrTooManyShops)
		}
	}
	require.Equal(t, 20, h.count(t, "merchants"))
}
