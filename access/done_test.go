package access_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

// rows are what is written of a person, whichever shop it concerns: action, the shop or nothing, and from where.
func (h house) rows(t *testing.T, person string) (rows [][3]string) {
	t.Helper()
	found, err := h.door.pool.Query(t.Context(), `SELECT action, coalesce(merchant_id, ''), address FROM audit_rows WHERE person_id = $1 ORDER BY created_at, id`, person)
	require.NoError(t, err)
	defer found.Close()
	for found.Next() {
		var r [3]string
		require.NoError(t, found.Scan(&r[0], &r[1], &r[2]))
		rows = append(rows, r)
	}
	require.NoError(t, found.Err())
	return rows
}

func TestComingAndGoingIsRecorded(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), newKey(t)
	in, s := h.enters(t, key)
	require.ElementsMatch(t, [][3]string{{"person.joined", "", phone.Address}, {"session.begun", "", phone.Address}}, h.rows(t, string(s.Person)))

	one, other := h.door.found(t, "cafe"), h.door.found(t, "books")
	_, err := h.door.pool.Exec(t.Context(), `INSERT INTO members (merchant_id, person_id, role, created_at) VALUES ($1, $3, 'viewer', now()), ($2, $3, 'viewer', now())`, one, other, s.Person)
	require.NoError(t, err)
	desk := access.Browser{Address: "203.0.113.8"}
	fresh, err := h.Enter(t.Context(), s, in.Secret, other, desk)
	require.NoError(t, err)
	_, err = h.Enter(t.Context(), s, in.Secret, one, desk)
	require.ErrorIs(t, err, access.ErrDenied, "with a former secret")
	require.NoError(t, h.SignOut(t.Context(), fresh, desk))
	require.NoError(t, h.SignOut(t.Context(), fresh, desk))
	rows := h.rows(t, string(s.Person))
	require.ElementsMatch(t, [][3]string{
		{"session.entered", string(other), desk.Address}, {"session.ended", string(other), desk.Address},
	}, rows[2:])

	again, _ := h.enters(t, key)
	require.Len(t, h.rows(t, string(again.Person)), len(rows)+1, "who is known does not join again")
	for _, secret := range []string{in.Secret, fresh, again.Secret} {
		require.False(t, h.door.stored(t, "audit_rows", secret))
	}
}
