package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/audit"
)

var ada = audit.By{Actor: "Ada", Address: "203.0.113.7"}

func form(name string) access.KeyForm {
	return access.KeyForm{Name: name, Scopes: []access.Scope{access.SalesRead, access.LinksRead, access.LinksRead}}
}

func TestAKeyIsMadeOnceAndKeptAsAHash(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe := d.found(t, "cafe")
	made, secret, err := d.MakeKey(t.Context(), cafe, form(" Till "), ada)
	require.NoError(t, err)
	require.Regexp(t, `^sk_test_[0-9A-Za-z]{49}$`, secret)
	require.Equal(t, secret[len(secret)-4:], made.Hint)
	require.Equal(t, "Till", made.Name)
	require.False(t, d.stored(t, "api_keys", secret))
	require.False(t, d.stored(t, "audit_rows", secret))
	require.True(t, d.stored(t, "audit_rows", "api_key.created"))

	c, err := d.Caller(t.Context(), secret)
	require.NoError(t, err)
	require.Equal(t, []string{"links:read", "sales:read"}, c.Scopes)
	require.Equal(t, made.ID, c.Key)
	live := form("server")
	live.Livemode = true
	_, other, err := d.MakeKey(t.Context(), cafe, live, ada)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(other, "sk_live_"))
	require.NotEqual(t, secret[8:], other[8:])

	for i := range secret { // one wrong character is seen without asking the database
		wrong := secret[:i] + "~" + secret[i+1:]
		_, err := d.Caller(t.Context(), wrong)
		require.ErrorIs(t, err, access.ErrDenied)
	}
}

func TestAKeysFormIsChecked(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe := d.found(t, "cafe")
	past, far := d.now().Add(-time.Second), d.now().AddDate(6, 0, 0)
	scopes := []access.Scope{access.LinksRead}
	for field, forms := range map[string][]access.KeyForm{
		"name":    {{Scopes: scopes}, {Name: "a\nb", Scopes: scopes}, {Name: strings.Repeat("a", 61), Scopes: scopes}},
		"scopes":  {{Name: "a"}, {Name: "a", Scopes: []access.Scope{"everything"}}},
		"expires": {{Name: "a", Scopes: scopes, ExpiresAt: &past}, {Name: "a", Scopes: scopes, ExpiresAt: &far}},
	} {
		for _, f := range forms {
			_, _, err := d.MakeKey(t.Context(), cafe, f, ada)
			var wrong *access.KeyFormError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, field, wrong.Field)
		}
	}
	keys, err := d.Keys(t.Context(), cafe, false)
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestTwoKeysOfANameLiveAtOnce(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe, books := d.found(t, "cafe"), d.found(t, "books")
	first, old, err := d.MakeKey(t.Context(), cafe, form("till"), ada)
	require.NoError(t, err)
	second, fresh, err := d.RollKey(t.Context(), cafe, false, first.ID, ada)
	require.NoError(t, err)
	require.Equal(t, first.Scopes, second.Scopes)
	for _, key := range []string{old, fresh} {
		_, err = d.Caller(t.Context(), key)
		require.NoError(t, err, "both open the shop meanwhile")
	}
	_, _, err = d.RollKey(t.Context(), cafe, false, second.ID, ada)
	require.ErrorIs(t, err, access.ErrTwoKeys)
	_, _, err = d.MakeKey(t.Context(), cafe, form("till"), ada)
	require.ErrorIs(t, err, access.ErrTwoKeys)
	_, _, err = d.MakeKey(t.Context(), books, form("till"), ada)
	require.NoError(t, err, "another shop's names are its own")
	_, _, err = d.RollKey(t.Context(), books, false, first.ID, ada)
	require.ErrorIs(t, err, access.ErrNotFound)

	d.offset.Store(int64(25 * time.Hour))
	_, err = d.Caller(t.Context(), old)
	require.ErrorIs(t, err, access.ErrDenied, "the old one ended by itself")
	_, err = d.Caller(t.Context(), fresh)
	require.NoError(t, err)
	_, _, err = d.RollKey(t.Context(), cafe, false, first.ID, ada)
	require.ErrorIs(t, err, access.ErrKeyEnded)
}

func TestARevokedKeyOpensNothingFromTheNextRequestOn(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe, books := d.found(t, "cafe"), d.found(t, "books")
	key, secret, err := d.MakeKey(t.Context(), cafe, form("till"), ada)
	require.NoError(t, err)
	another := access.New(d.pool, d.now) // another process
	_, err = another.Caller(t.Context(), secret)
	require.NoError(t, err)
	require.ErrorIs(t, d.RevokeKey(t.Context(), books, false, key.ID, ada), access.ErrNotFound)
	require.ErrorIs(t, d.RevokeKey(t.Context(), cafe, true, key.ID, ada), access.ErrNotFound, "of the other mode")
	require.NoError(t, d.RevokeKey(t.Context(), cafe, false, key.ID, ada))
	require.NoError(t, d.RevokeKey(t.Context(), cafe, false, key.ID, ada), "again changes nothing")
	_, err = another.Caller(t.Context(), secret)
	require.ErrorIs(t, err, access.ErrDenied)
	k, err := d.Key(t.Context(), cafe, false, key.ID)
	require.NoError(t, err)
	require.False(t, k.Alive(d.now()))
	rows, err := audit.List(t.Context(), d.pool, cafe, audit.Filter{Action: "api_key.revoked"}, audit.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Equal(t, "Ada", rows[0].Actor)
}

func TestTheLastUseIsWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe := d.found(t, "cafe")
	key, secret, err := d.MakeKey(t.Context(), cafe, form("till"), ada)
	require.NoError(t, err)
	version := func() (v string) {
		require.NoError(t, d.pool.QueryRow(t.Context(), `SELECT xmin::text FROM api_keys WHERE id = $1`, key.ID).Scan(&v))
		return v
	}
	_, err = d.Caller(t.Context(), secret)
	require.NoError(t, err)
	first := version()
	k, err := d.Key(t.Context(), cafe, false, key.ID)
	require.NoError(t, err)
	require.Equal(t, k.UsedAt.Truncate(time.Minute), *k.UsedAt)
	d.offset.Store(int64(time.Until(k.UsedAt.Add(59 * time.Second)))) // the end of the same minute
	_, err = d.Caller(t.Context(), secret)
	require.NoError(t, err)
	require.Equal(t, first, version())
	d.offset.Add(int64(2 * time.Second))
	_, err = d.Caller(t.Context(), secret)
	require.NoError(t, err)
	require.NotEqual(t, first, version())
}
