package shop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/audit"
	"xsynesis/shop"
)

func TestWhatIsDoneToALinkIsRecorded(t *testing.T) {
	t.Parallel()
	c := open(t)
	once := with(func(f *shop.LinkForm) { f.Once = []byte("once") })
	for range 2 { // asked again, nothing is done again
		c.create(t, once)
	}
	link := c.create(t, once)
	for _, form := range []shop.LinkForm{coffee, with(func(f *shop.LinkForm) { f.Price++ })} {
		_, err := c.UpdateLink(t.Context(), c.merchant, link.ID, anew(form), ada)
		require.NoError(t, err)
	}
	for range 2 {
		_, err := c.ExpireLink(t.Context(), c.merchant, link.ID, ada)
		require.NoError(t, err)
	}
	_, err := c.UpdateLink(t.Context(), c.merchant, link.ID, anew(with(func(f *shop.LinkForm) { f.Price = 0 })), ada)
	require.Error(t, err)

	rows, err := audit.List(t.Context(), c.pool, c.merchant, audit.Filter{Resource: string(link.ID)}, audit.Page{Limit: 10})
	require.NoError(t, err)
	var actions []string
	for _, r := range rows {
		require.Equal(t, ada, r.By)
		actions = append(actions, r.Action)
	}
	require.ElementsMatch(t, []string{"link.created", "link.changed", "link.ended"}, actions)
	for _, r := range rows {
		if r.Action == "link.changed" {
			require.Contains(t, string(r.Before), `"price": "`+coffee.Price.String()+`"`)
			require.Contains(t, string(r.After), `"price": "`+(coffee.Price+1).String()+`"`)
		}
	}
}
