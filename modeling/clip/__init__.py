"""Parts of CLIP (Radford et al., ICML 2021) that its image and text encoder share, and CLIP-ReID's prompts."""
