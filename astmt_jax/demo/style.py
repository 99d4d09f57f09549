"""How the demo's page looks."""

STYLE = """
#photo img { width: 100%; height: 100%; object-fit: contain; }
#examples .grid-container { grid-template-columns: repeat(3, minmax(0, 1fr)); }
#examples .caption-label { font-size: .65rem; padding: 0 4px; }
#opacity, #wrong { --block-info-text-color: var(--body-text-color); }
#panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
#panels { gap: 8px 20px; }
#panels > * { display: grid; grid-row: span 3; grid-template-rows: subgrid; align-content: start; }
#panels > * { margin-bottom: 20px; }
#panels .image-frame { width: 100%; }
#panels .image-frame img { width: 100%; max-height: 320px; object-fit: contain; }
#panels .html-container { padding: 0; }
.about h2 { margin: 0; font-size: 1rem; }
.about p { margin: 0; font-size: .875rem; line-height: 1.4; opacity: .8; }
.colors, .colors p { margin: 0; font-size: .8rem; line-height: 1.6; }
.colors ul { display: flex; flex-wrap: wrap; gap: 0 12px; margin: 0; padding: 0; list-style: none; }
.colors li { display: flex; align-items: center; gap: 5px; margin: 0; }
.colors .swatch { width: 13px; height: 13px; border: 1px solid #8888; flex: none; }
.colors .bar { height: 13px; border: 1px solid #8888; }
.colors .ticks { display: flex; justify-content: space-between; }
#times { font-size: .8rem; }
#times table { width: auto; word-break: normal; overflow-wrap: normal; }
#times table, #times tr { border: none !important; }
#times th, #times td { padding: 2px 16px 2px 0; border: none !important; }
@media (min-width: 900px) {
  #panels { grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); }
  .column:has(> #photo) { flex: 0 0 300px !important; }
  .column:has(> #photo) { position: sticky; top: 12px; align-self: start; }
}
"""
"""CSS: pictures fill their frames; headings, pictures and legends of a row of panels are level; the
photo stays beside them where there is room."""
HEAD = """<script>
const look = () => {
  for (const image of document.images)
    image.style.imageRendering = image.naturalWidth < image.clientWidth ? "pixelated" : "auto";
};
document.addEventListener("load", look, true);  // of any picture
addEventListener("resize", look);
</script>"""
"""Pictures that are shown larger than they are have square pixels, as predictions have."""
