package access_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/audit"
)

func (d door) seen(t *testing.T) (at time.Time) {
	t.Helper()
	require.NoError(t, d.pool.QueryRow(t.Context(), `SELECT max(seen_at) FROM sessions`).Scan(&at))
	return at
}

func TestASessionThatNobodyUsesEnds(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe := d.found(t, "cafe")
	secret, err := d.SignIn(t.Context(), cafe, d.owner(t, cafe))
	require.NoError(t, err)
	d.offset.Store(int64(12*time.Hour - time.Minute))
	_, err = d.Session(t.Context(), secret)
	require.NoError(t, err)
	d.offset.Add(int64(12*time.Hour + time.Minute))
	_, err = d.Session(t.Context(), secret)
	require.ErrorIs(t, err, access.ErrDenied)
}

func TestUseIsWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe := d.found(t, "cafe")
	secret, err := d.SignIn(t.Context(), cafe, d.owner(t, cafe))
	require.NoError(t, err)
	first := d.seen(t)
	d.offset.Store(int64(55 * time.Second))
	_, err = d.Session(t.Context(), secret)
	require.NoError(t, err)
	require.Equal(t, first, d.seen(t))
	d.offset.Store(int64(65 * time.Second))
	_, err = d.Session(t.Context(), secret)
	require.NoError(t, err)
	require.True(t, d.seen(t).After(first))
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), newKey(t)
	here, s := h.enters(t, key)
	there, other := h.enters(t, key)
	third, _ := h.enters(t, key)
	eve, eves := h.enters(t, newKey(t))
	list, err := h.Sessions(t.Context(), s.Person)
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, phone.Address, list[0].Address)
	require.Equal(t, "Safari on iPhone", access.BrowserName(list[0].UserAgent))

	require.ErrorIs(t, h.End(t.Context(), s, eves.ID, phone), access.ErrNotFound, "somebody else's is not there")
	require.NoError(t, h.End(t.Context(), s, other.ID, phone))
	require.ErrorIs(t, h.End(t.Context(), s, other.ID, phone), access.ErrNotFound)
	_, err = h.Session(t.Context(), there.Secret)
	require.ErrorIs(t, err, access.ErrDenied)
	require.NoError(t, h.EndOthers(t.Context(), s, phone))
	_, err = h.Session(t.Context(), third.Secret)
	require.ErrorIs(t, err, access.ErrDenied)
	h.session(t, here.Secret)
	h.session(t, eve.Secret)
}

func TestWhoGoesToAnotherShopGetsAnotherSecret(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in, s := h.enters(t, newKey(t))
	cafe := h.door.found(t, "cafe")
	_, err := h.Enter(t.Context(), s, in.Secret, cafe, access.Browser{})
	require.ErrorIs(t, err, access.ErrDenied, "a shop that does not know her")
	tx, err := h.door.pool.Begin(t.Context())
	require.NoError(t, err)
	mine, err := h.OpenShopTx(t.Context(), tx, "Mine", audit.By{Person: s.Person})
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	_, err = h.Enter(t.Context(), s, "another secret", mine, access.Browser{})
	require.ErrorIs(t, err, access.ErrDenied)
	require.NoError(t, h.SetMode(t.Context(), s.ID, true))
	fresh, err := h.Enter(t.Context(), s, in.Secret, mine, access.Browser{})
	require.NoError(t, err)
	_, err = h.Session(t.Context(), in.Secret)
	require.ErrorIs(t, err, access.ErrDenied)
	now := h.session(t, fresh)
	require.Equal(t, mine, now.Merchant)
	require.Equal(t, access.Owner, now.Role)
	require.False(t, now.Livemode, "another shop is entered in test mode")
	require.NoError(t, h.SetMode(t.Context(), s.ID, true))
	require.True(t, h.session(t, fresh).Livemode)
}

func TestWhoIsSuspendedIsOutOfTheShopAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	cafe := h.door.found(t, "cafe")
	ada := h.door.owner(t, cafe)
	secret, err := h.SignIn(t.Context(), cafe, ada)
	require.NoError(t, err)
	_, err = h.door.pool.Exec(t.Context(), `UPDATE members SET status = 'suspended'`)
	require.NoError(t, err)
	_, err = h.Session(t.Context(), secret)
	require.ErrorIs(t, err, access.ErrDenied)
	_, err = h.SignIn(t.Context(), cafe, ada)
	require.ErrorIs(t, err, access.ErrDenied)
	members, err := h.Members(t.Context())
	require.NoError(t, err)
	require.Empty(t, members)
}

func TestATillsSessionEndsWithItsPairing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	cafe := h.door.found(t, "cafe")
	ada := h.door.owner(t, cafe)
	_, err := h.door.pool.Exec(t.Context(), `INSERT INTO devices (id, merchant_id, name, hash, paired_by, created_at, seen_at) VALUES ('dev_1', $1, 'Counter', 'x', $2, now(), now())`, cafe, ada)
	require.NoError(t, err)
	secret, err := h.Begin(t.Context(), access.Entrance{Person: ada, Merchant: cafe, Method: access.ByPIN, Device: "dev_1"})
	require.NoError(t, err)
	s := h.session(t, secret)
	require.EqualValues(t, "dev_1", s.Device)
	require.False(t, s.SteppedUp)
	_, err = h.MakeCodes(t.Context(), s, phone)
	require.ErrorIs(t, err, access.ErrDenied, "a till changes nobody's ways in")
	_, err = h.Enter(t.Context(), s, secret, cafe, access.Browser{})
	require.ErrorIs(t, err, access.ErrDenied)
	_, err = h.door.pool.Exec(t.Context(), `UPDATE devices SET revoked_at = now()`)
	require.NoError(t, err)
	_, err = h.Session(t.Context(), secret)
	require.ErrorIs(t, err, access.ErrDenied)
}
