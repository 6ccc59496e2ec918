package access_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/postgres/pgtest"
)

// door is the service with a clock that a test may move.
type door struct {
	*access.Service
	pool   *pgxpool.Pool
	offset *atomic.Int64
}

func open(t *testing.T) door {
	t.Helper()
	d := door{pool: pgtest.New(t), offset: &atomic.Int64{}}
	d.Service = access.New(d.pool, d.now)
	return d
}

func (d door) now() time.Time {
	return time.Now().Add(time.Duration(d.offset.Load())).UTC().Truncate(time.Microsecond)
}

func (d door) found(t *testing.T, slug string) id.Merchant {
	t.Helper()
	merchant, err := d.Found(t.Context(), access.Founding{Slug: slug, Name: "The " + slug, Domain: slug + ".example", Owner: "Ada of " + slug})
	require.NoError(t, err)
	return merchant
}

// owner is the person who founded a shop.
func (d door) owner(t *testing.T, merchant id.Merchant) id.Person {
	t.Helper()
	members, err := d.Members(t.Context())
	require.NoError(t, err)
	for _, m := range members {
		if m.Merchant == merchant {
			require.Equal(t, access.Owner, m.Role)
			return m.Person
		}
	}
	t.Fatal("nobody owns it")
	return ""
}

// stored tells whether any table holds the text, as it is or in hexadecimal.
func (d door) stored(t *testing.T, table, secret string) bool {
	t.Helper()
	var there bool
	require.NoError(t, d.pool.QueryRow(t.Context(),
		`SELECT EXISTS (SELECT FROM `+table+` r WHERE r::text LIKE '%' || $1 || '%' OR r::text LIKE '%' || encode($1::bytea, 'hex') || '%')`, secret).Scan(&there))
	return there
}

func TestAShopIsFoundedOnce(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe := d.found(t, "cafe")
	require.Equal(t, cafe, d.found(t, "cafe"))
	require.NotEqual(t, cafe, d.found(t, "bookshop"))
	members, err := d.Members(t.Context())
	require.NoError(t, err)
	require.Len(t, members, 2)
}

func TestASession(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe, bookshop := d.found(t, "cafe"), d.found(t, "bookshop")
	ada := d.owner(t, cafe)
	secret, err := d.SignIn(t.Context(), cafe, ada)
	require.NoError(t, err)
	require.False(t, d.stored(t, "sessions", secret))

	s, err := d.Session(t.Context(), secret)
	require.NoError(t, err)
	require.NotEmpty(t, s.ID)
	require.Equal(t, access.Session{
		ID: s.ID, Person: ada, PersonName: "Ada of cafe", Role: access.Owner, Merchant: cafe, Shop: "The cafe", SteppedUp: true, Method: access.ByDemo, Since: s.Since,
	}, s)

	_, err = d.SignIn(t.Context(), bookshop, ada)
	require.ErrorIs(t, err, access.ErrDenied, "she has no role there")
	_, err = d.SignIn(t.Context(), cafe, "usr_1ChHQgZvF7Y4JLiQa34ooR")
	require.ErrorIs(t, err, access.ErrDenied)
	for _, wrong := range []string{"", "x", secret + "x", strings.ToUpper(secret), secret[1:]} {
		_, err = d.Session(t.Context(), wrong)
		require.ErrorIs(t, err, access.ErrDenied)
	}

	other, err := d.SignIn(t.Context(), cafe, ada)
	require.NoError(t, err)
	require.NotEqual(t, secret, other)
	require.NoError(t, d.SignOut(t.Context(), secret, access.Browser{}))
	require.NoError(t, d.SignOut(t.Context(), secret, access.Browser{}))
	_, err = d.Session(t.Context(), secret)
	require.ErrorIs(t, err, access.ErrDenied)
	_, err = d.Session(t.Context(), other)
	require.NoError(t, err, "the other browser stays signed in")
}

func TestASessionEndsWithItsTimeOrItsRole(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe := d.found(t, "cafe")
	ada := d.owner(t, cafe)
	secret, err := d.SignIn(t.Context(), cafe, ada)
	require.NoError(t, err)
	for range 14 {
		_, err = d.Session(t.Context(), secret)
		require.NoError(t, err)
		d.offset.Add(int64(12*time.Hour - time.Minute))
	}
	_, err = d.Session(t.Context(), secret)
	require.NoError(t, err)
	d.offset.Store(int64(7 * 24 * time.Hour))
	_, err = d.Session(t.Context(), secret)
	require.ErrorIs(t, err, access.ErrDenied)

	d.offset.Store(0)
	_, err = d.pool.Exec(t.Context(), `UPDATE members SET role = 'viewer'`)
	require.NoError(t, err)
	s, err := d.Session(t.Context(), secret)
	require.NoError(t, err)
	require.Equal(t, access.Viewer, s.Role, "a new role counts at once")
	_, err = d.pool.Exec(t.Context(), `DELETE FROM members`)
	require.NoError(t, err)
	_, err = d.Session(t.Context(), secret)
	require.ErrorIs(t, err, access.ErrDenied)
}

func TestAKey(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe := d.found(t, "cafe")
	test, err := d.CreateKey(t.Context(), cafe, false, "till", []access.Scope{access.LinksRead, access.SalesRead})
	require.NoError(t, err)
	live, err := d.CreateKey(t.Context(), cafe, true, "server", access.Scopes)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(test, "sk_test_"), test)
	require.True(t, strings.HasPrefix(live, "sk_live_"), live)
	require.False(t, d.stored(t, "api_keys", test))

	c, err := d.Caller(t.Context(), test)
	require.NoError(t, err)
	require.Equal(t, cafe, c.Merchant)
	require.False(t, c.Livemode)
	require.True(t, c.May(access.LinksRead))
	require.False(t, c.May(access.LinksWrite))
	c, err = d.Caller(t.Context(), live)
	require.NoError(t, err)
	require.True(t, c.Livemode)
	for _, scope := range access.Scopes {
		require.True(t, c.May(scope))
	}

	for _, wrong := range []string{
		"", "sk_", "sk_test_", test + "x", strings.TrimPrefix(test, "sk_"), strings.Replace(test, "sk_test_", "sk_live_", 1), "Bearer " + test, "%", "sk_%",
	} {
		_, err = d.Caller(t.Context(), wrong)
		require.ErrorIs(t, err, access.ErrDenied, wrong)
	}
}

func TestAKeyEnds(t *testing.T) {
	t.Parallel()
	d := open(t)
	cafe := d.found(t, "cafe")
	for name, end := range map[string]string{
		"revoked": `UPDATE api_keys SET revoked_at = now()`,
		"expired": `UPDATE api_keys SET expires_at = now() - interval '1 second', revoked_at = NULL`,
	} {
		key, err := d.CreateKey(t.Context(), cafe, false, name, access.Scopes)
		require.NoError(t, err)
		_, err = d.Caller(t.Context(), key)
		require.NoError(t, err)
		_, err = d.pool.Exec(t.Context(), end)
		require.NoError(t, err)
		_, err = d.Caller(t.Context(), key)
		require.ErrorIs(t, err, access.ErrDenied, name)
	}
}
